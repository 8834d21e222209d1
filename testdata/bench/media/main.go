// Command media measures what installer media cost, on an image of 400 MB: overlays
// beside genisoimage and xorriso, publishing beside cp, serving beside http.ServeFile and
// nginx. Programs that are not here are left out by name. It prints ratios; figures in
// seconds are of this machine only.
//
// Usage: go run ./testdata/bench/media -esxiplan bin/esxiplan [-dir FOLDER]
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"esxiplan/engine/media"
	"esxiplan/engine/media/iso"
	"esxiplan/engine/media/isosim"
	"esxiplan/engine/media/kickstart"
)

func main() {
	esxiplan := flag.String("esxiplan", "bin/esxiplan", "the program to measure")
	dir := flag.String("dir", os.TempDir(), "where 3 GB are written")
	file := flag.String("serve-file", "", "internal: serve this file by http.ServeFile")
	flag.Parse()
	if *file != "" {
		serveFile(*file)
		return
	}
	work, err := os.MkdirTemp(*dir, "esxiplan-bench-")
	check(err)
	defer os.RemoveAll(work)
	b := &bench{dir: work, esxiplan: *esxiplan}
	b.plain = b.make("plain.iso", isosim.Options{})
	b.both = b.make("both.iso", isosim.Options{RockRidge: true, Joliet: true})
	b.overlays()
	b.remasters()
	b.publishing()
	b.serving()
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type bench struct{ dir, esxiplan, plain, both string }

// make writes an image of about 400 MB with 257 entries in its root.
func (b *bench) make(name string, o isosim.Options) string {
	o.Version, o.Build, o.Modules, o.Size, o.Padding = "8.0.3", "24022510", 239, 1<<20*7/4, true
	path := filepath.Join(b.dir, name)
	f, err := os.Create(path)
	check(err)
	check(isosim.Write(f, o))
	check(f.Sync())
	check(f.Close())
	runtime.GC()
	return path
}

// changes are three files of 10 KB together.
func changes(n int) []iso.Change {
	text := func() []byte {
		return []byte(fmt.Sprintf("# host %d\n%s", n, strings.Repeat("kernelopt=runweasel\n", 170)))
	}
	return []iso.Change{{Path: "/KS.CFG", Data: text()}, {Path: "/BOOT.CFG", Data: text()}, {Path: "/EFI/BOOT/BOOT.CFG", Data: text()}}
}

func (b *bench) open(path string) (*iso.Base, *os.File) {
	f, err := os.Open(path)
	check(err)
	info, err := f.Stat()
	check(err)
	base, err := iso.Open(f, info.Size())
	check(err)
	return base, f
}

func (b *bench) overlays() {
	for _, path := range []string{b.plain, b.both} {
		base, f := b.open(path)
		fmt.Printf("\n%s, %d MB, %v\n", filepath.Base(path), base.Size()>>20, base.Trees())
		first := median(50, func(n int) {
			fresh, f := b.open(path)
			_, err := fresh.Overlay(changes(n))
			check(err)
			f.Close()
		})
		further := median(1000, func(n int) { _, err := base.Overlay(changes(n)); check(err) })
		fmt.Printf("  first overlay, opening included  %8.3f ms (aim 3)\n", ms(first))
		fmt.Printf("  each further                     %8.3f ms (aim 0.3 plain, 1 with Rock Ridge and Joliet)\n", ms(further))
		heap := live()
		var kept []*iso.Image
		for n := range 1000 {
			i, err := base.Overlay(changes(n))
			check(err)
			kept = append(kept, i)
		}
		fmt.Printf("  1000 overlays hold               %8.1f MB (aim 40), %d bytes of their own each\n", float64(live()-heap)/1e6, kept[0].Own())
		runtime.KeepAlive(kept)
		f.Close()
	}
}

func live() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// median runs what is to be measured so many times.
func median(times int, run func(n int)) time.Duration {
	var all []time.Duration
	for n := range times {
		began := time.Now()
		run(n)
		all = append(all, time.Since(began))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

func have(programs ...string) bool {
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			fmt.Printf("  skipped: %s is not here\n", p)
			return false
		}
	}
	return true
}

func run(name string, args ...string) {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		check(fmt.Errorf("%s: %w\n%s", name, err, out))
	}
}

// remasters measures what others do per host.
func (b *bench) remasters() {
	fmt.Println("\none host's image, beside a rebuild")
	base, f := b.open(b.both)
	defer f.Close()
	ours := median(200, func(n int) { _, err := base.Overlay(changes(n)); check(err) })
	image, err := base.Overlay(changes(0))
	check(err)
	fmt.Printf("  overlay                          %8.3f ms, %d bytes\n", ms(ours), image.Own())
	tree, out := filepath.Join(b.dir, "tree"), filepath.Join(b.dir, "rebuilt.iso")
	if have("bsdtar", "genisoimage") {
		check(os.Mkdir(tree, 0o755))
		run("bsdtar", "-xf", b.both, "-C", tree)
		run("chmod", "-R", "u+w", tree)
		theirs := median(5, func(int) {
			run("genisoimage", "-quiet", "-relaxed-filenames", "-J", "-R", "-o", out, "-b", "isolinux.bin", "-c", "boot.cat", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", "-eltorito-alt-boot", "-e", "efiboot.img", "-no-emul-boot", tree)
		})
		b.compare("genisoimage", theirs, ours, size(out))
	}
	if have("xorriso") {
		ks := filepath.Join(b.dir, "KS.CFG")
		check(os.WriteFile(ks, changes(0)[0].Data, 0o600))
		theirs := median(3, func(int) {
			os.Remove(out)
			run("xorriso", "-indev", b.both, "-outdev", out, "-boot_image", "any", "replay", "-map", ks, "/KS.CFG", "-map", ks, "/BOOT.CFG", "-map", ks, "/EFI/BOOT/BOOT.CFG")
		})
		b.compare("xorriso", theirs, ours, size(out))
	}
	os.RemoveAll(tree)
	os.Remove(out)
}

func (b *bench) compare(name string, theirs, ours time.Duration, written int64) {
	fmt.Printf("  %-32s %8.3f ms, %d bytes: %.0f times the time\n", name, ms(theirs), written, float64(theirs)/float64(ours))
}

func size(path string) int64 {
	info, err := os.Stat(path)
	check(err)
	return info.Size()
}

// publishing writes whole images to a folder, durably, beside cp that is synced.
func (b *bench) publishing() {
	fmt.Println("\npublishing a whole image to a folder")
	base, f := b.open(b.both)
	defer f.Close()
	image, err := base.Overlay(changes(0))
	check(err)
	out := filepath.Join(b.dir, "published.iso")
	copied := median(5, func(int) { os.Remove(out); run("cp", b.both, out); sync1(out) })
	ours := median(5, func(int) {
		os.Remove(out)
		dst, err := os.Create(out)
		check(err)
		check(image.Materialise(dst, f))
		check(dst.Sync())
		check(dst.Close())
	})
	os.Remove(out)
	fmt.Printf("  cp and sync                      %8.1f ms\n  publish                          %8.1f ms: %.2f times cp (aim 1.2)\n", ms(copied), ms(ours), float64(ours)/float64(copied))
}

func sync1(path string) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	check(err)
	check(f.Sync())
	check(f.Close())
}

// server is a process that serves an image.
type server struct {
	name, url string
	pids      []int
	stop      func()
}

// serving reads the overlay through esxiplan serve, and the plain file through others.
func (b *bench) serving() {
	fmt.Println("\nserving, clients on the same machine; CPU is the server's")
	servers := []server{b.ownServer(), b.goServer()}
	if have("nginx") {
		servers = append(servers, b.nginx())
	}
	type figures struct{ rate, cpu, small, smallCPU float64 }
	best := make([]figures, len(servers))
	for range 5 { // in turn, so that all meet the same noise
		for i, s := range servers {
			rate, cpu := s.whole(6)
			small, smallCPU := s.ranges(50, 40)
			if f := &best[i]; f.rate < rate {
				f.rate, f.cpu = rate, cpu
			}
			if f := &best[i]; f.small < small {
				f.small, f.smallCPU = small, smallCPU
			}
		}
	}
	fmt.Printf("  %-28s %10s %10s %16s %10s\n", "", "whole GB/s", "CPU s/GB", "50×1MiB ranges/s", "CPU s/GB")
	for i, s := range servers {
		f := best[i]
		fmt.Printf("  %-28s %10.2f %10.3f %16.0f %10.3f\n", s.name, f.rate, f.cpu, f.small, f.smallCPU)
		s.stop()
	}
	for i := 1; i < len(servers); i++ {
		fmt.Printf("  overlay beside %s: %.2f times the throughput, %.2f times the CPU per GB (aims beside ServeFile: 0.9, 1.3); ranges %.2f and %.2f\n",
			servers[i].name, best[0].rate/best[i].rate, best[0].cpu/best[i].cpu, best[0].small/best[i].small, best[0].smallCPU/best[i].smallCPU)
	}
}

// ownServer publishes an overlay and serves it by esxiplan serve.
func (b *bench) ownServer() server {
	folder := filepath.Join(b.dir, "media")
	check(os.Mkdir(folder, 0o755))
	address, stop, pid := start(exec.Command(b.esxiplan, "serve", folder, "--listen", "127.0.0.1:0"), "serving ")
	url := address[strings.LastIndex(address, "http://"):]
	l, err := media.NewDirectory(folder, url, true, media.Options{})
	check(err)
	defer l.Close()
	p, err := l.Publish(context.Background(), media.Request{Plan: "bench", Host: "h", BMC: "127.0.0.1", Password: "Some-password-1x", Source: media.Source{Path: b.both},
		Script: kickstart.Script{Disk: kickstart.Disk{Kind: "model", Text: "X"}, Network: kickstart.Network{DHCP: true}}}, func(context.Context, media.Replacement) error { return nil })
	check(err)
	return server{"esxiplan serve, overlay", p.URL, []int{pid}, stop}
}

func (b *bench) goServer() server {
	self, err := os.Executable()
	check(err)
	line, stop, pid := start(exec.Command(self, "-serve-file", b.both), "http://")
	return server{"http.ServeFile, file", line, []int{pid}, stop}
}

func serveFile(path string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Fprintf(os.Stderr, "http://%s/x.iso\n", l.Addr())
	check(http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) })))
}

func (b *bench) nginx() server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	address := l.Addr().String()
	l.Close()
	conf := filepath.Join(b.dir, "nginx.conf")
	check(os.WriteFile(conf, []byte(fmt.Sprintf(`daemon off; worker_processes 2; pid %[1]s/nginx.pid; error_log %[1]s/nginx.log;
events { worker_connections 512; }
http { sendfile on; tcp_nopush on; access_log off; client_body_temp_path %[1]s/t1; proxy_temp_path %[1]s/t2; fastcgi_temp_path %[1]s/t3; uwsgi_temp_path %[1]s/t4; scgi_temp_path %[1]s/t5;
  server { listen %[2]s; root %[1]s; } }
`, b.dir, address)), 0o600))
	check(os.Chmod(b.dir, 0o755))
	check(os.Chmod(b.both, 0o644))
	c := exec.Command("nginx", "-c", conf, "-p", b.dir)
	check(c.Start())
	for range 100 {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	pids := []int{c.Process.Pid}
	if out, err := exec.Command("pgrep", "-P", strconv.Itoa(c.Process.Pid)).Output(); err == nil {
		for _, field := range strings.Fields(string(out)) {
			pid, _ := strconv.Atoi(field)
			pids = append(pids, pid)
		}
	}
	return server{"nginx, file", "http://" + address + "/both.iso", pids, func() { c.Process.Signal(os.Interrupt); c.Wait() }}
}

// start starts a server and returns the first line that begins so.
func start(c *exec.Cmd, begins string) (line string, stop func(), pid int) {
	out, err := c.StderrPipe()
	check(err)
	check(c.Start())
	lines := make(chan string, 1)
	go func() {
		var text strings.Builder
		buffer := make([]byte, 4096)
		found := false
		for {
			n, err := out.Read(buffer)
			if err != nil {
				return
			}
			if found {
				continue
			}
			text.Write(buffer[:n])
			for l := range strings.Lines(text.String()) {
				if strings.HasPrefix(l, begins) && strings.HasSuffix(l, "\n") {
					found = true
					lines <- strings.TrimSpace(l)
				}
			}
		}
	}()
	return <-lines, func() { c.Process.Signal(os.Interrupt); c.Wait() }, c.Process.Pid
}

// cpu is the time that processes have used so far, in seconds.
func cpu(pids []int) (sum float64) {
	for _, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+2:]))
		for _, i := range []int{11, 12} {
			ticks, _ := strconv.ParseFloat(fields[i], 64)
			sum += ticks / 100
		}
	}
	return sum
}

// whole reads the image so many times: GB/s and the server's CPU seconds per GB.
func (s server) whole(times int) (rate, perGB float64) {
	before, began := cpu(s.pids), time.Now()
	var bytes int64
	for range times {
		bytes += get(s.url, "")
	}
	gb := float64(bytes) / 1e9
	return gb / time.Since(began).Seconds(), (cpu(s.pids) - before) / gb
}

// ranges lets clients read pieces of 1 MiB at once: requests/s and CPU per GB.
func (s server) ranges(clients, each int) (rate, perGB float64) {
	before, began := cpu(s.pids), time.Now()
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			for n := range each {
				from := int64((c*each+n)*7919%380) << 20
				get(s.url, fmt.Sprintf("bytes=%d-%d", from, from+1<<20-1))
			}
		})
	}
	all.Wait()
	n := clients * each
	return float64(n) / time.Since(began).Seconds(), (cpu(s.pids) - before) / (float64(n) * (1 << 20) / 1e9)
}

var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}}

func get(url, ranges string) int64 {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	check(err)
	if ranges != "" {
		req.Header.Set("Range", ranges)
	}
	resp, err := client.Do(req)
	check(err)
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		check(fmt.Errorf("%s: %s", url, resp.Status))
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, make([]byte, 256<<10))
	check(err)
	return n
}
