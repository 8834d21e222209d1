// Command serve floods esxiplan serve: clients that read an image slowly, hostile ones of
// eight kinds, and an honest one that reads ranges all the time, each over a new connection.
// It fails where the honest one waits too long, where the server takes too much memory or
// logs too much, or does not end within ten seconds of SIGTERM.
//
// The flood is a process of its own, so that the honest client does not share its scheduler.
// Memory is known on Linux only.
//
// Usage: go run ./testdata/bench/serve -esxiplan bin/esxiplan [-slow 500] [-hostile 500] [-for 20s]
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"esxiplan/engine/media"
	"esxiplan/engine/media/isosim"
	"esxiplan/engine/media/kickstart"
)

// What must hold.
const (
	honestWaits = 200 * time.Millisecond
	memory      = 150 << 20
	endsWithin  = 10 * time.Second
	logsPerS    = 5000 // bytes
)

type flood struct {
	slow, hostile int
	lasts         time.Duration
}

func main() {
	var f flood
	esxiplan := flag.String("esxiplan", "bin/esxiplan", "the program to flood")
	url := flag.String("flood", "", "internal: be the flood of this image")
	flag.IntVar(&f.slow, "slow", 500, "clients that read slowly")
	flag.IntVar(&f.hostile, "hostile", 500, "hostile clients")
	flag.DurationVar(&f.lasts, "for", 20*time.Second, "how long")
	flag.Parse()
	if *url != "" {
		f.run(*url)
		return
	}
	if err := f.bench(*esxiplan); err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
}

// bench measures the server under the flood.
func (f flood) bench(esxiplan string) error {
	dir, err := os.MkdirTemp("", "esxiplan-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := start(esxiplan, dir)
	if err != nil {
		return err
	}
	defer s.process.Process.Kill()
	url, want, err := publish(dir, s.address)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	attack := exec.Command(self, "-flood", url, "-slow", fmt.Sprint(f.slow), "-hostile", fmt.Sprint(f.hostile))
	attack.Stderr = os.Stderr
	if err := attack.Start(); err != nil {
		return err
	}
	defer func() { attack.Process.Kill(); attack.Wait() }()
	waits, failed := honest(url, want, f.lasts)
	used, known := peak(s.process.Process.Pid)
	end, err := s.end()
	if err != nil {
		return err
	}
	return report(waits, failed, used, known, end, s.logged.Load(), f)
}

// report prints what was measured, and says what must not be.
func report(waits []time.Duration, failed []error, used int64, known bool, end time.Duration, logged int64, f flood) error {
	slices.Sort(waits)
	fmt.Printf("%d slow and %d hostile clients for %s\n", f.slow, f.hostile, f.lasts)
	var longest time.Duration
	if n := len(waits); n > 0 {
		longest = waits[n-1]
		fmt.Printf("  honest client: %d reads of %d KB, median %s, 99 of 100 within %s, longest %s (aim %s)\n", n, rangeSize>>10, waits[n/2].Round(time.Microsecond*10), waits[n*99/100].Round(time.Microsecond*10), longest.Round(time.Microsecond*10), honestWaits)
	}
	fmt.Printf("  memory of the server: %.1f MB at most (aim %d)\n", float64(used)/1e6, memory>>20)
	fmt.Printf("  end after SIGTERM: %s (aim %s)\n  log: %d bytes\n", end.Round(time.Millisecond), endsWithin, logged)
	var out []error
	if len(failed) > 0 || len(waits) == 0 {
		out = append(out, fmt.Errorf("%d reads of the honest client failed: %w", len(failed), errors.Join(failed[:min(3, len(failed))]...)))
	}
	if longest > honestWaits {
		out = append(out, fmt.Errorf("the honest client waited %s, more than %s", longest, honestWaits))
	}
	if known && used > memory {
		out = append(out, fmt.Errorf("the server took %d bytes, more than %d", used, memory))
	}
	if end > endsWithin {
		out = append(out, fmt.Errorf("the server ended after %s, more than %s", end, endsWithin))
	}
	if most := int64(f.lasts.Seconds()+20) * logsPerS; logged > most {
		out = append(out, fmt.Errorf("the server logged %d bytes, more than %d", logged, most))
	}
	return errors.Join(out...)
}

// server is esxiplan serve as a process.
type server struct {
	process *exec.Cmd
	address string
	logged  atomic.Int64
}

func start(esxiplan, dir string) (*server, error) {
	s := &server{process: exec.Command(esxiplan, "serve", dir, "--listen", "127.0.0.1:0")}
	out, err := s.process.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := s.process.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	if i := strings.LastIndex(line, "http://"); err == nil && i >= 0 {
		s.address = strings.TrimSpace(line[i:])
	} else {
		return nil, fmt.Errorf("esxiplan serve says %q (%w)", line, err)
	}
	go func() {
		buffer := make([]byte, 64<<10)
		for {
			n, err := lines.Read(buffer)
			s.logged.Add(int64(n))
			if err != nil {
				return
			}
		}
	}()
	return s, nil
}

// end ends the server while the flood goes on, and says how long that takes.
func (s *server) end() (time.Duration, error) {
	began := time.Now()
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		return 0, fmt.Errorf("the server has ended before it should: %w", err)
	}
	kill := time.AfterFunc(time.Minute, func() { s.process.Process.Kill() })
	defer kill.Stop()
	err := s.process.Wait()
	if err != nil {
		err = fmt.Errorf("the server ended with an error: %w", err)
	}
	return time.Since(began), err
}

// peak is the most memory that a process has used so far.
func peak(pid int) (bytes int64, known bool) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(status)) {
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &bytes); err == nil {
			return bytes << 10, true
		}
	}
	return 0, false
}

// publish publishes an image of 50 MB, and returns its URL and the range that is read.
func publish(dir, address string) (url string, want []byte, err error) {
	source := filepath.Join(dir, "source.iso")
	f, err := os.Create(source)
	if err != nil {
		return "", nil, err
	}
	if err := errors.Join(isosim.Write(f, isosim.Options{Version: "8.0.3", Build: "24022510", Modules: 24, Size: 2 << 20}), f.Close()); err != nil {
		return "", nil, err
	}
	l, err := media.NewDirectory(dir, address, true, media.Options{Plan: "bench"})
	if err != nil {
		return "", nil, err
	}
	defer l.Close()
	p, err := l.Publish(context.Background(), media.Request{Plan: "bench", Host: "h", BMC: "127.0.0.1", Password: "Some-password-1x", Source: media.Source{Path: source},
		Script: kickstart.Script{Disk: kickstart.Disk{Kind: "model", Text: "X"}, Network: kickstart.Network{DHCP: true}}}, func(context.Context, media.Replacement) error { return nil })
	if err != nil {
		return "", nil, err
	}
	want, err = read(p.URL)
	return p.URL, want, err
}

// The range that the honest client reads: modules, which no overlay changes.
const (
	rangeStart = 20 << 20
	rangeSize  = 64 << 10
)

// read reads the range over a connection of its own.
func read(url string) ([]byte, error) {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", rangeStart, rangeStart+rangeSize-1))
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusPartialContent {
		return nil, fmt.Errorf("the server answers %s", resp.Status)
	}
	return io.ReadAll(resp.Body)
}

// honest reads the range again and again, for so long.
func honest(url string, want []byte, lasts time.Duration) (waits []time.Duration, failed []error) {
	for end := time.Now().Add(lasts); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		began := time.Now()
		have, err := read(url)
		if err == nil && !bytes.Equal(have, want) {
			err = fmt.Errorf("%d bytes that are not those of the image", len(have))
		}
		if err != nil {
			failed = append(failed, err)
			continue
		}
		waits = append(waits, time.Since(began))
	}
	return waits, failed
}

// run is the flood: each client does the same again and again, until the process is killed.
func (f flood) run(url string) {
	syscall.Setpriority(syscall.PRIO_PROCESS, 0, 10) // it has its processors in another machine
	address, path, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	t := target{address, "/" + path}
	for n := range f.slow {
		go later(n, f.slow, t, slow)
	}
	kinds := []func(target, net.Conn){silent, neverReads, dripsHeader, asksForNothing, longHeader, garbage, manyRanges, slowBody}
	for n := range f.hostile {
		go later(n, f.hostile, t, kinds[n%len(kinds)])
	}
	select {}
}

// later begins with the nth of some clients: they come within a second, not all at one moment.
func later(n, of int, t target, do func(target, net.Conn)) {
	time.Sleep(time.Second * time.Duration(n) / time.Duration(of))
	forever(t, do)
}

// target is where the image is.
type target struct{ address, path string }

// forever connects and does what a kind of client does, at most fifty times a second.
func forever(t target, do func(target, net.Conn)) {
	for ; ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", t.address)
		if err != nil {
			continue
		}
		do(t, c)
		c.Close()
	}
}

func (t target) get(c net.Conn, path, headers string) {
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", path, headers)
}

// slow reads the image at 10 KB/s.
func slow(t target, c net.Conn) {
	t.get(c, t.path, "")
	buffer := make([]byte, 1<<10)
	for {
		if _, err := io.ReadFull(c, buffer); err != nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// silent opens a connection and says nothing.
func silent(_ target, c net.Conn) { untilClosed(c) }

// untilClosed waits for the server to close the connection.
func untilClosed(c net.Conn) { io.Copy(io.Discard, c) }

// neverReads asks for the image and takes none of it.
func neverReads(t target, c net.Conn) {
	t.get(c, t.path, "")
	time.Sleep(time.Hour)
}

// dripsHeader sends its header byte by byte.
func dripsHeader(t target, c net.Conn) {
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nX: ", t.path)
	for {
		if _, err := c.Write([]byte("x")); err != nil {
			return
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// asksForNothing asks for what is not there, as fast as it can.
func asksForNothing(t target, c net.Conn) {
	t.get(c, "/"+strings.Repeat("0", 32)+"/"+strings.Repeat("x", 2000)+".iso", "")
	untilClosed(c)
}

// longHeader sends a header of a megabyte.
func longHeader(t target, c net.Conn) {
	t.get(c, t.path, "X: "+strings.Repeat("x", 1<<20)+"\r\n")
	untilClosed(c)
}

// garbage speaks another protocol.
func garbage(_ target, c net.Conn) {
	c.Write(bytes.Repeat([]byte{0x16, 3, 1, 2, 0, 1}, 100))
	untilClosed(c)
}

// manyRanges asks for the image in a thousand parts, and reads none.
func manyRanges(t target, c net.Conn) {
	t.get(c, t.path, "Range: bytes=0-1"+strings.Repeat(",5-6", 1000)+"\r\n")
	time.Sleep(time.Hour)
}

// slowBody promises a body that does not come.
func slowBody(t target, c net.Conn) {
	t.get(c, t.path, "Content-Length: 100000\r\n")
	untilClosed(c)
}
