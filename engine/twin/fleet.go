package twin

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"time"

	"esxiplan/engine/bmc/bmcsim"
	"esxiplan/schema"
)

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// Clock is the time of the simulation.
type Clock interface {
	Now() time.Time
	Real(time.Duration) time.Duration
}

// Options say what to simulate.
type Options struct {
	Clock      Clock
	Profiles   map[string]string // profile by host, instead of the vendor's usual one
	Faults     []string          // "kind", or "host=kind"
	OldVersion string            // of the ESXi that runs before
	OldBuild   string
	Media      map[string]string // address of a web server in the plan → where it really is
	Log        func(Entry)
	Latency    time.Duration // of every answer of a BMC, in real time
	Network    *Network      // on which the twins are; nil: sockets on loopback
}

// Entry is a request that a simulated BMC or ESXi answered.
type Entry struct {
	Host string `json:"host"`
	Door string `json:"door"`
	bmcsim.Request
}

// Fleet is the twins of a plan's hosts.
type Fleet struct {
	Machines []*Machine
	o        Options
	table    map[string]string // plan address → loopback address
	copies   copies            // of images that BMCs fetched whole
}

// Start makes a twin of every host.
func Start(p *schema.Plan, hosts []*schema.Host, o Options) (*Fleet, error) {
	f := &Fleet{o: o, table: map[string]string{}}
	maps.Copy(f.table, o.Media)
	troubles, err := assign(p, hosts, o)
	if err != nil {
		return nil, err
	}
	for _, h := range hosts {
		m, err := newMachine(f, h, troubles[h.Name])
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("simulate %s: %w", h.Name, err)
		}
		f.Machines = append(f.Machines, m)
		f.table[h.BMC.Address.HostPort()] = m.BMC.Address()
		if h.ESXi != nil {
			f.table[net.JoinHostPort(h.ESXi.Address, "443")] = m.ESXi.Address()
		}
	}
	return f, nil
}

func notSimulated(address string) error {
	return fmt.Errorf("%s is not simulated, and a simulation talks to nothing else", address)
}

// Table maps the plan's addresses to those of the twins.
func (f *Fleet) Table() map[string]string { return maps.Clone(f.table) }

// Tally is what happened to one machine, according to its simulator.
type Tally struct {
	Host           string   `json:"host"`
	Boots          []string `json:"boots"`         // boot sources, in order
	PowerChanges   int      `json:"power_changes"` // resets that took effect
	Inserts        int      `json:"inserts"`       // that took effect
	Installs       int      `json:"installs"`      // that were completed
	PerReset       []int    `json:"installs_per_reset"`
	SessionsOpened int      `json:"sessions_opened"`
	SessionsClosed int      `json:"sessions_closed"`
	Connections    int      `json:"connections"`
	Requests       int      `json:"requests"`
}

// Tallies returns what happened to all machines.
func (f *Fleet) Tallies() []Tally {
	out := []Tally{}
	for _, m := range f.Machines {
		t := Tally{Host: m.Host.Name, Boots: m.BMC.Boots(), Connections: m.BMC.Connections(), Requests: len(m.BMC.Requests())}
		t.PowerChanges, t.Inserts = m.BMC.Effects()
		t.SessionsOpened, t.SessionsClosed = m.BMC.Sessions()
		t.Installs, t.PerReset = m.Installs()
		out = append(out, t)
	}
	return out
}

// Machine finds the twin of a host.
func (f *Fleet) Machine(host string) *Machine {
	for _, m := range f.Machines {
		if m.Host.Name == host {
			return m
		}
	}
	return nil
}

// Close ends all twins.
func (f *Fleet) Close() {
	for _, m := range f.Machines {
		m.close()
	}
	f.copies.close()
}

func (f *Fleet) bmcLog(host string) func(bmcsim.Request) {
	if f.o.Log == nil {
		return nil
	}
	return func(r bmcsim.Request) { f.o.Log(Entry{host, "bmc", r}) }
}

// esxiLog notes SOAP methods: Path is the method's name.
func (f *Fleet) esxiLog(host string) func(string) {
	if f.o.Log == nil {
		return nil
	}
	return func(method string) {
		f.o.Log(Entry{host, "esxi", bmcsim.Request{Method: http.MethodPost, Path: method, Status: http.StatusOK}})
	}
}

// dialMedia lets BMCs find the plan's web server where it really is.
func (f *Fleet) dialMedia(ctx context.Context, network, address string) (net.Conn, error) {
	return f.o.Network.Dialer(f.o.Media)(ctx, network, address)
}

// listen gives a twin its place.
func (f *Fleet) listen() (net.Listener, error) {
	if f.o.Network != nil {
		return f.o.Network.Listen(), nil
	}
	return net.Listen("tcp", "127.0.0.1:0")
}

// Dialer dials what the table maps, and loopback addresses as they are. Nothing
// else: a simulation must not touch real machines.
func Dialer(table map[string]string) dialFunc { return dialer(table, &net.Dialer{}) }

func dialer(table map[string]string, d *net.Dialer) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		to, ok := table[address]
		if !ok {
			host, _, err := net.SplitHostPort(address)
			ip := net.ParseIP(host)
			if err != nil || ip == nil || !ip.IsLoopback() {
				return nil, notSimulated(address)
			}
			to = address
		}
		return d.DialContext(ctx, network, to)
	}
}
