package media

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"esxiplan/engine/text"
)

// Bounds are what a server grants its clients. A zero value is that of [DefaultBounds].
//
// A BMC opens two to six connections and reads by ranges, or fetches the whole image over
// twenty minutes; forty of them may share one address. So a new connection is not simply
// refused at a bound: it replaces one whose loss costs less, if there is one (see
// [conn.rank]).
type Bounds struct {
	Connections int           // at once, of all clients; and as many requests
	PerClient   int           // at once, of one address; this machine's own may have all
	Strangers   int           // at once, on which no image was served yet
	Stall       time.Duration // for how long a client may take no byte of its answer
	End         time.Duration // for how long answers may continue when the server ends
}

// DefaultBounds are those of a server without other settings.
func DefaultBounds() Bounds {
	return Bounds{Connections: 2048, PerClient: 256, Strangers: 1024, Stall: 2 * time.Minute, End: 4 * time.Second}
}

// PerConnection is how many descriptors a connection takes while an image is read: its own
// and that of the image.
const PerConnection = 2

// Within lowers the bounds to what a number of descriptors allows.
func (b Bounds) Within(descriptors int) Bounds {
	b = b.complete()
	b.Connections = max(1, min(b.Connections, descriptors/PerConnection))
	b.Strangers = min(b.Strangers, max(16, b.Connections/2))
	b.PerClient = min(b.PerClient, b.Connections)
	return b
}

func (b Bounds) complete() Bounds {
	d := DefaultBounds()
	return Bounds{cmp.Or(b.Connections, d.Connections), cmp.Or(b.PerClient, d.PerClient), cmp.Or(b.Strangers, d.Strangers), cmp.Or(b.Stall, d.Stall), cmp.Or(b.End, d.End)}
}

// yields is how long a connection must stand still before a new one may replace it.
const yields = 10 * time.Second

// looks is how often the server checks at least whether answers move.
const looks = 5 * time.Second

// connections are those of a server, which keeps its bounds.
type connections struct {
	Bounds
	report func(Served)

	mu        sync.Mutex
	all       map[*conn]bool
	clients   map[netip.Addr]*share
	strangers int
}

// share is what one client has of the connections.
type share struct {
	connections, strangers int
	judged, own            bool // whether it is an address of this machine
}

// conn is a connection with what determines how much is lost with it.
type conn struct {
	*net.TCPConn
	all     *connections
	client  netip.Addr
	written atomic.Int64

	// kept by all
	known  bool      // an image was served on it
	active bool      // a request is under way
	since  time.Time // when it was accepted, became idle, or moved a byte
	seen   progress  // then
}

// progress is how far the answers on a connection have come.
type progress struct{ written, unsent int64 }

func newConnections(b Bounds, report func(Served)) *connections {
	return &connections{Bounds: b.complete(), report: report, all: map[*conn]bool{}, clients: map[netip.Addr]*share{}}
}

// Write counts what goes out.
func (c *conn) Write(p []byte) (int, error) {
	n, err := c.TCPConn.Write(p)
	c.written.Add(int64(n))
	return n, err
}

// Close frees the connection's place, too.
func (c *conn) Close() error {
	c.all.mu.Lock()
	c.all.remove(c)
	c.all.mu.Unlock()
	return c.TCPConn.Close()
}

// progress is how far the answers have come by now.
func (c *conn) progress() progress {
	left, _ := unsentOn(c.TCPConn)
	return progress{c.written.Load(), left}
}

// The ranks of connections: one of a lower rank is closed first.
const (
	stranger = iota // a client that got no image yet; an honest one asks within a second
	idle            // between two requests: a client opens another one
	standing        // an answer is under way and has stood still for a while
	needed
)

func (c *conn) rank(now time.Time) int {
	switch {
	case !c.known:
		return stranger
	case !c.active:
		return idle
	case now.Sub(c.since) >= yields:
		return standing
	}
	return needed
}

// bounded is a listener whose connections keep the bounds.
type bounded struct {
	net.Listener
	all *connections
}

// Accept waits for a connection that the bounds admit.
func (l bounded) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		tcp, ok := c.(*net.TCPConn)
		if err != nil || !ok {
			return c, err
		}
		if c, ok := l.all.admit(tcp); ok {
			return c, nil
		}
	}
}

// admit gives a new connection its place, and closes another one for it where that must be.
func (s *connections) admit(tcp *net.TCPConn) (*conn, bool) {
	address, _ := netip.ParseAddrPort(tcp.RemoteAddr().String())
	c := &conn{TCPConn: tcp, all: s, client: plainAddress(address.Addr()), since: time.Now()}
	s.mu.Lock()
	crowded, ok := s.makeRoom(c)
	if ok {
		s.add(c)
	}
	s.mu.Unlock()
	if crowded != "" {
		s.report(Served{Client: c.client.String(), Refused: crowded})
	}
	if !ok {
		abort(tcp)
	} else if raw, err := tcp.SyscallConn(); err == nil {
		raw.Control(holdLess)
	}
	return c, ok
}

// makeRoom keeps the bounds for one more connection. It says what was done for that.
func (s *connections) makeRoom(c *conn) (crowded string, ok bool) {
	if share := s.clients[c.client]; share != nil && share.connections >= s.PerClient && !share.isOwn(c.client) {
		if !s.drop(c.since, func(other *conn) bool { return other.client == c.client }) {
			return "a connection was refused: this client has too many", false
		}
		crowded = "this client has too many connections: one was closed for a new one"
	}
	if s.strangers >= s.Strangers && s.drop(c.since, func(other *conn) bool { return !other.known }) {
		crowded = "too many connections on which no image was asked for: one was closed for a new one"
	}
	if len(s.all) >= s.Connections {
		if !s.drop(c.since, func(*conn) bool { return true }) {
			return "a connection was refused: the server has as many as it takes, and all of them read", false
		}
		crowded = "the server has as many connections as it takes: one was closed for a new one"
	}
	return crowded, true
}

func (s *share) isOwn(client netip.Addr) bool {
	if !s.judged {
		s.judged, s.own = true, ownAddress(client)
	}
	return s.own
}

// drop closes the matching connection whose loss costs least: of the lowest rank, of the
// client that has the most of them, the oldest.
func (s *connections) drop(now time.Time, match func(*conn) bool) bool {
	var victim *conn
	for c := range s.all {
		if match(c) && c.rank(now) < needed && (victim == nil || s.before(c, victim, now) < 0) {
			victim = c
		}
	}
	if victim != nil {
		s.remove(victim)
		abort(victim.TCPConn)
	}
	return victim != nil
}

func (s *connections) before(a, b *conn, now time.Time) int {
	return cmp.Or(cmp.Compare(a.rank(now), b.rank(now)), cmp.Compare(s.has(b), s.has(a)), a.since.Compare(b.since))
}

// has is how many connections like this one its client has.
func (s *connections) has(c *conn) int {
	if !c.known {
		return s.clients[c.client].strangers
	}
	return s.clients[c.client].connections
}

func (s *connections) add(c *conn) {
	if s.clients[c.client] == nil {
		s.clients[c.client] = &share{}
	}
	s.all[c] = true
	s.clients[c.client].connections++
	s.stranger(c, 1)
}

func (s *connections) stranger(c *conn, n int) {
	s.strangers += n
	s.clients[c.client].strangers += n
}

// remove frees the place of a connection that has one.
func (s *connections) remove(c *conn) {
	if !s.all[c] {
		return
	}
	delete(s.all, c)
	if !c.known {
		s.stranger(c, -1)
	}
	share := s.clients[c.client]
	if share.connections--; share.connections == 0 {
		delete(s.clients, c.client)
	}
}

// abort closes a connection at once, whatever was not sent.
func abort(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}

// know notes that an image is served on the connection of a request.
func (s *connections) know(r *http.Request) {
	under, _ := r.Context().Value(connection{}).(net.Conn)
	c, ok := bare(under).(*conn)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.known && s.all[c] {
		s.stranger(c, -1)
		c.known, c.since = true, time.Now()
	}
}

// changed notes the state that http.Server reports for a connection.
func (s *connections) changed(under net.Conn, state http.ConnState) {
	c, ok := bare(under).(*conn)
	if !ok || state != http.StateActive && state != http.StateIdle {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c.active = state == http.StateActive
	if c.known {
		c.since = time.Now()
	}
}

// bare is the connection below TLS.
func bare(c net.Conn) net.Conn {
	if secure, ok := c.(*tls.Conn); ok {
		return secure.NetConn()
	}
	return c
}

// watch closes connections whose answer stands still, until ctx ends.
func (s *connections) watch(ctx context.Context) {
	tick := time.NewTicker(min(looks, s.Stall/4))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.look(time.Now())
		case <-ctx.Done():
			return
		}
	}
}

// look notes which answers have moved.
func (s *connections) look(now time.Time) {
	s.mu.Lock()
	var stalled []*conn
	for c := range s.all {
		if !c.active {
			continue
		}
		if p := c.progress(); c.known && p != c.seen {
			c.seen, c.since = p, now
		} else if now.Sub(c.since) >= s.Stall {
			stalled = append(stalled, c)
			s.remove(c)
			abort(c.TCPConn)
		}
	}
	s.mu.Unlock()
	for _, c := range stalled {
		s.report(Served{Client: c.client.String(), Refused: "took no byte for " + text.Duration(s.Stall) + ": its connection was closed"})
	}
}
