package twin

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
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
	Profiles   map[string]string // profile by host, where the vendor's usual one will not do
	Faults     []string          // "kind", or "host=kind"
	OldVersion string            // of the ESXi that runs before
	OldBuild   string
	Media      map[string]string // address of a web server in the plan → where it really is
	Log        func(Entry)
	Latency    time.Duration // of every answer of a BMC, in real time
}

// Entry is a request that a simulated BMC or ESXi answered.
type Entry struct {
	Host string `json:"host"`
	Door string `json:"door"`
	bmcsim.Request
}

// faults are the troubles of one machine.
type faults map[string]bool

// FaultKinds explains the troubles that a rehearsal can add.
var FaultKinds = map[string]string{
	"dead-bmc":       "the BMC answers nobody",
	"hang":           "the BMC takes requests and never answers",
	"html":           "the BMC answers with web pages",
	"wrong-password": "the BMC has another password",
	"wrong-serial":   "the machine is another one",
	"two-disks":      "two disks match",
	"no-disk":        "no disk matches",
	"no-licence":     "the BMC's licence does not cover virtual media",
	"no-drive":       "the BMC offers no virtual CD drive",
	"lockdown":       "the BMC refuses every change",
	"no-nic":         "the plan's network port is not there",
	"secure-boot":    "Secure Boot is on",
	"san":            "a storage network is connected",
	"not-ready":      "the BMC is starting and never gets ready",
	"busy":           "virtual machines run on the host",
	"unknown-use":    "the machine is on, and no ESXi answers",
	"other-machine":  "another machine's ESXi answers on the address",
	"leftover":       "somebody's image is mounted",
	"boots-disk":     "the machine ignores the boot override and boots its old disk",
	"lost-answer":    "the answer to the first reset is lost",
	"lost-insert":    "an insert is answered with success and not done, once",
	"idle-drop":      "the BMC drops idle connections",
	"busy-bmc":       "the BMC answers 503 three times",
	"storm":          "of all requests, 5 % are answered 503, 2 % by a reset connection, 1 % not at all; 1 % of the answers get lost, 1 % of the writes are answered with success and not done",
}

// bmc are the faults that the BMC itself makes.
func (f faults) bmc() []bmcsim.Fault {
	var out []bmcsim.Fault
	if f["storm"] {
		out = storm()
	}
	for kind, fault := range map[string]bmcsim.Fault{
		"dead-bmc": {Kind: "dead"}, "hang": {Kind: "hang"}, "html": {Kind: "html"},
		"boots-disk": {Kind: "ignore", Action: "override"}, "lost-answer": {Kind: "lost", Path: "ComputerSystem.Reset", Count: 1},
		"lost-insert": {Kind: "ignore", Action: "insert", Count: 1}, "idle-drop": {Kind: "idle"},
		"busy-bmc": {Kind: "status", Status: 503, Method: "GET", Count: 3},
	} {
		if f[kind] {
			out = append(out, fault)
		}
	}
	return out
}

// storm is every kind of passing trouble, by chance.
func storm() []bmcsim.Fault {
	out := []bmcsim.Fault{
		{Kind: "status", Status: 503, Rate: 0.05}, {Kind: "reset", Rate: 0.02}, {Kind: "hang", Rate: 0.01}, {Kind: "lost", Rate: 0.01},
	}
	for _, action := range []string{"insert", "eject", "boot", "reset"} {
		out = append(out, bmcsim.Fault{Kind: "ignore", Action: action, Rate: 0.01})
	}
	return out
}

// Fleet is the twins of a plan's hosts.
type Fleet struct {
	Machines []*Machine
	o        Options
	table    map[string]string // plan address → loopback address
}

// Start makes a twin of every host.
func Start(p *schema.Plan, hosts []*schema.Host, o Options) (*Fleet, error) {
	f := &Fleet{o: o, table: map[string]string{}}
	maps.Copy(f.table, o.Media)
	troubles, err := assign(p, hosts, o.Faults)
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

// assign reads faults: "kind" for every host, "host=kind" for one.
func assign(p *schema.Plan, hosts []*schema.Host, specs []string) (map[string]faults, error) {
	out := map[string]faults{}
	for _, h := range hosts {
		out[h.Name] = faults{}
	}
	for _, spec := range specs {
		host, kind, one := strings.Cut(spec, "=")
		if !one {
			host, kind = "", spec
		}
		if _, ok := FaultKinds[kind]; !ok {
			kinds := slices.Sorted(maps.Keys(FaultKinds))
			return nil, fmt.Errorf("there is no fault %q; there are %s%s", kind, strings.Join(kinds, ", "), schema.DidYouMean(kind, kinds))
		}
		if _, ok := p.Host(host); one && !ok {
			return nil, fmt.Errorf("--fault %s: the plan has no host %q", spec, host)
		}
		for name, f := range out {
			if !one || name == host {
				f[kind] = true
			}
		}
	}
	return out, nil
}

// Table maps the plan's addresses to those of the twins.
func (f *Fleet) Table() map[string]string { return maps.Clone(f.table) }

// Tally is what became of one machine, as its simulator knows it.
type Tally struct {
	Host           string   `json:"host"`
	Boots          []string `json:"boots"`         // boot sources, in order
	PowerChanges   int      `json:"power_changes"` // resets that took effect
	Inserts        int      `json:"inserts"`       // that took effect
	SessionsOpened int      `json:"sessions_opened"`
	SessionsClosed int      `json:"sessions_closed"`
	Connections    int      `json:"connections"`
	Requests       int      `json:"requests"`
}

// Tallies tell what became of all machines.
func (f *Fleet) Tallies() []Tally {
	out := []Tally{}
	for _, m := range f.Machines {
		t := Tally{Host: m.Host.Name, Boots: m.BMC.Boots(), Connections: m.BMC.Connections(), Requests: len(m.BMC.Requests())}
		t.PowerChanges, t.Inserts = m.BMC.Effects()
		t.SessionsOpened, t.SessionsClosed = m.BMC.Sessions()
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
	return Dialer(f.o.Media)(ctx, network, address)
}

// Dialer dials what the table maps, and loopback addresses as they are. Nothing
// else: a simulation must not touch anybody's machines.
func Dialer(table map[string]string) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		to, ok := table[address]
		if !ok {
			host, _, err := net.SplitHostPort(address)
			ip := net.ParseIP(host)
			if err != nil || ip == nil || !ip.IsLoopback() {
				return nil, fmt.Errorf("%s is not simulated, and a simulation talks to nothing else", address)
			}
			to = address
		}
		return (&net.Dialer{}).DialContext(ctx, network, to)
	}
}
