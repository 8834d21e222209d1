package twin

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Network is a loopback interface in the memory of this process. A fleet on one opens no
// socket, and nothing reaches a service of the computer on which it is simulated: its plan
// may be a stranger's.
//
// Its connections keep to what HTTP and TLS need of TCP: buffers, deadlines, and an end of
// each direction.
type Network struct {
	mu        sync.Mutex
	listeners map[string]*listener
	ports     int
}

// firstPort is the first of a network that gives its ports in order.
const firstPort = 20_000

// Listen gives a port of the loopback address.
func (n *Network) Listen() net.Listener {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := &listener{network: n, address: n.port(), arrived: make(chan net.Conn), closed: make(chan struct{})}
	if n.listeners == nil {
		n.listeners = map[string]*listener{}
	}
	n.listeners[l.address.String()] = l
	return l
}

// port is one that no other end has. Addresses are of TCP: their readers know no others.
func (n *Network) port() *net.TCPAddr {
	n.ports++
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: firstPort + n.ports}
}

// DialContext connects to a listener of the network, and to nothing else.
func (n *Network) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	l, from := n.listeners[address], n.port()
	n.mu.Unlock()
	if l == nil {
		return nil, refused(network, address)
	}
	here, there := pipe(from, l.address)
	select {
	case l.arrived <- there:
		return here, nil
	case <-l.closed:
		return nil, refused(network, address)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Dialer dials what the table maps, and the network's own addresses. Without a network it is
// that of sockets on loopback.
func (n *Network) Dialer(table map[string]string) dialFunc {
	if n == nil {
		return Dialer(table)
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		to, ok := table[address]
		if !ok && !n.listens(address) {
			return nil, notSimulated(address)
		}
		return n.DialContext(ctx, network, cmp.Or(to, address))
	}
}

func (n *Network) listens(address string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.listeners[address] != nil
}

// refused is the error of a port on which nothing listens.
func refused(network, address string) error {
	return &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("%s: %w", address, os.NewSyscallError("connect", syscall.ECONNREFUSED))}
}

type listener struct {
	network *Network
	address *net.TCPAddr
	arrived chan net.Conn
	end     sync.Once
	closed  chan struct{}
}

func (l *listener) Addr() net.Addr { return l.address }

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.arrived:
		return c, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.address, Err: net.ErrClosed}
	}
}

func (l *listener) Close() error {
	l.end.Do(func() {
		close(l.closed)
		l.network.mu.Lock()
		defer l.network.mu.Unlock()
		delete(l.network.listeners, l.address.String())
	})
	return nil
}

// end is one end of a connection.
type end struct {
	in, out     *stream
	here, there net.Addr
}

// pipe connects two addresses.
func pipe(a, b net.Addr) (atA, atB *end) {
	there, back := newStream(), newStream()
	return &end{back, there, a, b}, &end{there, back, b, a}
}

func (e *end) Read(p []byte) (int, error)         { return e.in.read(p) }
func (e *end) Write(p []byte) (int, error)        { return e.out.write(p) }
func (e *end) LocalAddr() net.Addr                { return e.here }
func (e *end) RemoteAddr() net.Addr               { return e.there }
func (e *end) SetReadDeadline(t time.Time) error  { e.in.reading.set(t); return nil }
func (e *end) SetWriteDeadline(t time.Time) error { e.out.writing.set(t); return nil }

func (e *end) SetDeadline(t time.Time) error {
	e.in.reading.set(t)
	e.out.writing.set(t)
	return nil
}

func (e *end) Close() error {
	e.in.change(func(s *stream) { s.readerGone = true })
	e.out.change(func(s *stream) { s.writerGone = true })
	return nil
}

// held is how many bytes a connection keeps for each reader, like the buffer of a socket.
const held = 64 << 10

// stream is one direction of a connection.
type stream struct {
	reading, writing *deadline

	mu                     sync.Mutex
	data                   []byte
	readerGone, writerGone bool
	changed                chan struct{} // closed and replaced with every change
}

func newStream() *stream {
	return &stream{reading: newDeadline(), writing: newDeadline(), changed: make(chan struct{})}
}

// change changes the stream, and wakes its waiters.
func (s *stream) change(what func(*stream)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what(s)
	s.wake()
}

func (s *stream) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *stream) read(p []byte) (int, error) {
	for {
		s.mu.Lock()
		switch timedOut := s.reading.passed(); {
		case s.readerGone:
			s.mu.Unlock()
			return 0, net.ErrClosed
		case timedOut:
			s.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		case len(s.data) > 0 || len(p) == 0:
			n := copy(p, s.data)
			if s.data = s.data[n:]; len(s.data) == 0 {
				s.data = nil
			}
			s.wake()
			s.mu.Unlock()
			return n, nil
		case s.writerGone:
			s.mu.Unlock()
			return 0, io.EOF
		}
		s.await(s.reading)
	}
}

func (s *stream) write(p []byte) (n int, err error) {
	for {
		s.mu.Lock()
		switch timedOut := s.writing.passed(); {
		case s.writerGone:
			s.mu.Unlock()
			return n, net.ErrClosed
		case s.readerGone:
			s.mu.Unlock()
			return n, &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", syscall.EPIPE)}
		case timedOut:
			s.mu.Unlock()
			return n, os.ErrDeadlineExceeded
		}
		if room := min(held-len(s.data), len(p)-n); room > 0 {
			s.data = append(s.data, p[n:n+room]...)
			n += room
			s.wake()
		}
		if n == len(p) {
			s.mu.Unlock()
			return n, nil
		}
		s.await(s.writing)
	}
}

// await waits for a change or a deadline. The stream is locked before, not after.
func (s *stream) await(d *deadline) {
	changed := s.changed
	s.mu.Unlock()
	select {
	case <-changed:
	case <-d.signal():
	}
}

// deadline is a moment that may be moved.
type deadline struct {
	mu    sync.Mutex
	at    time.Time
	timer *time.Timer
	moved chan struct{} // closed when it passes or is moved
}

func newDeadline() *deadline { return &deadline{moved: make(chan struct{})} }

func (d *deadline) passed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.at.IsZero() && !time.Now().Before(d.at)
}

func (d *deadline) signal() chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.moved
}

func (d *deadline) set(at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at = at
	close(d.moved)
	d.moved = make(chan struct{})
	if wait := time.Until(at); !at.IsZero() && wait > 0 {
		moved := d.moved
		d.timer = time.AfterFunc(wait, func() { d.pass(moved) })
	}
}

// pass wakes the waiters, unless the deadline was moved meanwhile.
func (d *deadline) pass(moved chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.moved == moved {
		close(d.moved)
		d.moved = make(chan struct{})
	}
}
