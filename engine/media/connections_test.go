package media

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// accepted are two ends of a connection of which a server has one.
func accepted(t *testing.T, s *connections) (here net.Conn, there *conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if here, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { here.Close() })
	tcp, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tcp.Close() })
	there, _ = s.admit(tcp.(*net.TCPConn))
	return here, there
}

// TestRoom: which connection is closed for a new one, and when the new one is refused.
func TestRoom(t *testing.T) {
	now := time.Now()
	strangerOf := func(since time.Duration) *conn { return &conn{since: now.Add(-since)} }
	idleFor := func(d time.Duration) *conn { return &conn{known: true, since: now.Add(-d)} }
	busyFor := func(d time.Duration) *conn { return &conn{known: true, active: true, since: now.Add(-d)} }
	full := Bounds{Connections: 3, PerClient: 9, Strangers: 9}
	for name, c := range map[string]struct {
		bounds  Bounds
		clients string // of the connections, a letter each
		conns   []*conn
		client  string // of the new one
		own     bool   // it is this machine
		closed  int    // index of the one that is closed, -1 for none
		refused bool
	}{
		"there is room":                            {full, "ab", []*conn{strangerOf(time.Hour), busyFor(time.Hour)}, "c", false, -1, false},
		"the oldest stranger first":                {full, "abc", []*conn{strangerOf(time.Second), strangerOf(2 * time.Second), idleFor(time.Hour)}, "d", false, 1, false},
		"of the client that has most of them":      {Bounds{Connections: 4, PerClient: 9, Strangers: 9}, "abbc", []*conn{strangerOf(time.Hour), strangerOf(time.Second), strangerOf(2 * time.Second), idleFor(time.Hour)}, "d", false, 2, false},
		"then one between two requests":            {full, "abc", []*conn{busyFor(time.Hour), idleFor(time.Second), idleFor(2 * time.Second)}, "d", false, 2, false},
		"then the answer that stands still":        {full, "abc", []*conn{busyFor(time.Second), busyFor(time.Minute), busyFor(2 * time.Minute)}, "d", false, 2, false},
		"never one that reads":                     {full, "abc", []*conn{busyFor(0), busyFor(time.Second), busyFor(9 * time.Second)}, "d", false, -1, true},
		"a client's own first":                     {Bounds{Connections: 9, PerClient: 2, Strangers: 9}, "aab", []*conn{idleFor(time.Second), busyFor(0), strangerOf(time.Hour)}, "a", false, 0, false},
		"a client that reads by all it may have":   {Bounds{Connections: 9, PerClient: 2, Strangers: 9}, "aab", []*conn{busyFor(0), busyFor(0), strangerOf(time.Hour)}, "a", false, -1, true},
		"this machine, which a proxy may run on":   {Bounds{Connections: 9, PerClient: 2, Strangers: 9}, "aab", []*conn{busyFor(0), busyFor(0), strangerOf(time.Hour)}, "a", true, -1, false},
		"strangers have a bound of their own":      {Bounds{Connections: 9, PerClient: 9, Strangers: 2}, "abc", []*conn{strangerOf(time.Second), strangerOf(2 * time.Second), busyFor(time.Hour)}, "d", false, 1, false},
		"a stranger's place is taken by strangers": {Bounds{Connections: 9, PerClient: 9, Strangers: 1}, "ab", []*conn{idleFor(time.Hour), strangerOf(0)}, "c", false, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newConnections(c.bounds, func(Served) {})
			for i, one := range c.conns {
				_, there := accepted(t, newConnections(Bounds{}, nil))
				one.TCPConn, one.all, one.client = there.TCPConn, s, address(c.clients[i:i+1])
				known := one.known
				one.known = false
				s.add(one)
				if one.known = known; known {
					s.stranger(one, -1)
				}
				s.clients[one.client].judged, s.clients[one.client].own = true, c.own
			}
			_, ok := s.makeRoom(&conn{client: address(c.client), since: now})
			if ok == c.refused {
				t.Errorf("admitted: %v", ok)
			}
			for i, one := range c.conns {
				if s.all[one] == (i == c.closed) {
					t.Errorf("connection %d: open %v", i, s.all[one])
				}
			}
		})
	}
}

// address represents a client.
func address(letter string) netip.Addr {
	return netip.AddrFrom4([4]byte{192, 0, 2, letter[0]})
}

// TestBooks: the counts of connections are correct after any kind of end.
func TestBooks(t *testing.T) {
	s := newConnections(Bounds{}, func(Served) {})
	_, a := accepted(t, s)
	_, b := accepted(t, s)
	if len(s.all) != 2 || s.strangers != 2 || s.clients[a.client].connections != 2 {
		t.Fatalf("%d connections, %d strangers, %+v", len(s.all), s.strangers, s.clients[a.client])
	}
	s.drop(time.Now(), func(c *conn) bool { return c == a })
	a.Close()
	a.Close()
	b.Close()
	if len(s.all)+s.strangers+len(s.clients) != 0 {
		t.Errorf("%d connections, %d strangers, %d clients are left", len(s.all), s.strangers, len(s.clients))
	}
}

// TestStall: an answer ends when it does not move, and not as long as it moves, however slowly.
func TestStall(t *testing.T) {
	var logged []Served
	s := newConnections(Bounds{Stall: 2 * time.Minute}, func(e Served) { logged = append(logged, e) })
	_, slow := accepted(t, s)
	_, stuck := accepted(t, s)
	_, idle := accepted(t, s)
	for _, c := range []*conn{slow, stuck} {
		c.known, c.active = true, true
	}
	idle.known = true
	now := time.Now()
	for range 20 { // minutes
		now = now.Add(time.Minute)
		slow.written.Add(1)
		s.look(now)
	}
	if !s.all[slow] || s.all[stuck] || !s.all[idle] {
		t.Errorf("the slow one is served: %v, the stuck one: %v, the idle one: %v", s.all[slow], s.all[stuck], s.all[idle])
	}
	if len(logged) != 1 || logged[0].Refused != "took no byte for 2 minutes: its connection was closed" {
		t.Errorf("logged: %+v", logged)
	}
}

// served is a folder with the image of a host, of many zeros, and its server.
func served(t *testing.T, b Bounds) (*DirectoryServer, string) { return servedLog(t, b, nil) }

func servedLog(t *testing.T, b Bounds, log func(Served)) (*DirectoryServer, string) {
	t.Helper()
	dir, token := t.TempDir(), strings.Repeat("a", 32)
	m := manifest{dir: manifestFolder(dir), plan: "p"}
	e := entry{Schema: manifestSchema, Plan: "p", Host: "h", BMC: "192.0.2.1", Token: token, Size: 1 << 30}
	path := filepath.Join(dir, e.file())
	for _, err := range []error{os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o644), os.Truncate(path, e.Size), m.write(e)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	sockets, err := Listen("127.0.0.1:0", "", "", "", "")
	if err != nil {
		t.Fatal(err)
	}
	s := ServeDirectory(DirectoryServerOptions{Sockets: sockets, Dir: dir, Bounds: b, Log: log})
	t.Cleanup(func() {
		if !s.closed {
			s.Close(t.Context())
		}
	})
	return s, "http://" + sockets.Addr().String() + "/" + e.file()
}

func dialTo(t *testing.T, url string) net.Conn {
	t.Helper()
	host, _, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	c, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func get(t *testing.T, url string) error {
	t.Helper()
	req, _ := http.NewRequest("GET", url, nil)
	req.Header.Set("Range", "bytes=1000-1999")
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusPartialContent || len(b) != 1000) {
		err = fmt.Errorf("%s, %d bytes", resp.Status, len(b))
	}
	return err
}

// closed waits until the other end has closed a connection.
func closed(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.Copy(io.Discard, c); err != nil && os.IsTimeout(err) {
		t.Error("the connection is still open")
	}
}

// TestSilentClientsTakeNoPlaces: clients that open connections and say nothing do not keep others
// from being served.
func TestSilentClientsTakeNoPlaces(t *testing.T) {
	_, url := served(t, Bounds{Connections: 8, Strangers: 4})
	var silent []net.Conn
	for range 20 {
		silent = append(silent, dialTo(t, url))
	}
	if err := get(t, url); err != nil {
		t.Error(err)
	}
	closed(t, silent[0])
}

// TestStuckClientIsClosed: a client that takes no byte loses its connection, and its file.
func TestStuckClientIsClosed(t *testing.T) {
	stuck := make(chan string, 100)
	_, url := servedLog(t, Bounds{Stall: 200 * time.Millisecond}, func(e Served) { stuck <- e.Refused })
	c := dialTo(t, url)
	_, path, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	fmt.Fprintf(c, "GET /%s HTTP/1.1\r\nHost: x\r\n\r\n", path)
	if err := get(t, url); err != nil {
		t.Error(err)
	}
	for timeout := time.After(10 * time.Second); ; {
		select {
		case why := <-stuck:
			if strings.HasPrefix(why, "took no byte for ") {
				return
			}
		case <-timeout:
			t.Fatal("a client that does not read is still connected")
		}
	}
}

// TestLongHeader: a client cannot make the server remember arbitrary data.
func TestLongHeader(t *testing.T) {
	_, url := served(t, Bounds{})
	c := dialTo(t, url)
	go c.Write(append([]byte("GET / HTTP/1.1\r\nX: "), bytes.Repeat([]byte("x"), 1<<20)...))
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	status := make([]byte, len("HTTP/1.1 431"))
	if _, err := io.ReadFull(c, status); err != nil || string(status) != "HTTP/1.1 431" {
		t.Errorf("%q, %v", status, err)
	}
}

// TestRefusedIsDisconnected: a client that asks for what does not exist does not keep a place.
func TestRefusedIsDisconnected(t *testing.T) {
	_, url := served(t, Bounds{})
	c := dialTo(t, url)
	fmt.Fprint(c, "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
	closed(t, c)
}

// TestTooManyRequests: over one connection by HTTP/2, or whatever way they came.
func TestTooManyRequests(t *testing.T) {
	s, url := served(t, Bounds{Connections: 1})
	if !s.enter(1) {
		t.Fatal("no request is taken")
	}
	if err := get(t, url); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("a second request: %v", err)
	}
	s.leave()
	if err := get(t, url); err != nil {
		t.Error(err)
	}
}

// TestEndIsBounded: a client that does not read keeps no server from its end.
func TestEndIsBounded(t *testing.T) {
	s, url := served(t, Bounds{End: 100 * time.Millisecond})
	c := dialTo(t, url)
	_, path, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	fmt.Fprintf(c, "GET /%s HTTP/1.1\r\nHost: x\r\n\r\n", path)
	if _, err := io.ReadFull(c, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s.Close(t.Context())
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}

// TestTeller: refusals are logged sparingly, and none is lost from the count.
func TestTeller(t *testing.T) {
	var mu sync.Mutex
	var said []string
	s := &teller{log: func(e Served) { mu.Lock(); defer mu.Unlock(); said = append(said, e.Refused+e.Path) }}
	now := time.Now()
	for range 1000 {
		if s.worth(now) {
			said = append(said, "shown")
		}
	}
	if len(said) != refusalsAtOnce {
		t.Errorf("%d are shown at once", len(said))
	}
	shown := 0
	for second := range 30 {
		for range 10 {
			if s.worth(now.Add(time.Duration(second+1) * time.Second)) {
				shown++
			}
		}
	}
	if shown < 29 || shown > 31 {
		t.Errorf("%d are shown within 30 s", shown)
	}
	said = nil
	s.sum(now, false)
	s.sum(now.Add(time.Second), false) // nothing new
	s.worth(now)
	s.sum(now.Add(2*time.Second), false) // not due
	s.sum(now.Add(3*time.Second), true)
	want := fmt.Sprintf("%d more refused requests and closed connections are not shown", 1000+300-refusalsAtOnce-shown)
	if len(said) != 2 || said[0] != want || !strings.HasPrefix(said[1], "1 more") {
		t.Errorf("said %q, want %q first", said, want)
	}
	said = nil
	s.tell(Served{Path: strings.Repeat("x", 5000)})
	if len(said) != 1 || len(said[0]) > longestPath+len("…") {
		t.Errorf("a path of %d bytes is logged", len(said[0]))
	}
}
