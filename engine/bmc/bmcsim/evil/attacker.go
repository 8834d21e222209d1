package evil

import (
	"net"
	"sync"
	"time"
)

// Attacker is where an evil BMC sends its clients. No client may connect.
type Attacker struct {
	listener net.Listener

	mu   sync.Mutex
	came []string
}

// listens is how long the attacker waits for data after a client connected.
const listens = 200 * time.Millisecond

// NewAttacker listens on a loopback address.
func NewAttacker(address string) (*Attacker, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	a := &Attacker{listener: l}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go a.hear(c)
		}
	}()
	return a, nil
}

// hear notes a connection with the first data that came over it.
func (a *Attacker) hear(c net.Conn) {
	defer c.Close()
	said := make([]byte, 4096)
	c.SetReadDeadline(time.Now().Add(listens))
	n, _ := c.Read(said)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.came = append(a.came, string(said[:n]))
}

// Address is where the attacker listens.
func (a *Attacker) Address() string { return a.listener.Addr().String() }

// Came lists the first data of each connection.
func (a *Attacker) Came() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.came...)
}

// Close ends it.
func (a *Attacker) Close() { a.listener.Close() }
