package media

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// Servers note next to the manifest what was read. Each has a folder of its own, so that
// several may serve one directory, and a question about one host opens one file per server,
// however many hosts there are.

// noted is what was read of the image with one token, from one server.
type noted struct {
	Token   string `json:"token"`
	Process string `json:"process,omitempty"` // that wrote it, as in [pulse]
	Reads
}

// notesFolder is where servers have their folders.
func (m manifest) notesFolder() string { return filepath.Join(m.dir, "reads") }

// ownServer is the folder of a server without a name: the one of a run.
const ownServer = "own"

// serverFolder is the folder of one server.
func (m manifest) serverFolder(server string) string {
	return filepath.Join(m.notesFolder(), cmp.Or(server, ownServer))
}

// makeServerFolder makes it if it does not exist.
func (m manifest) makeServerFolder(server string) error {
	if err := m.makeFolder(); err != nil {
		return err
	}
	if err := makeFolder(m.notesFolder(), 0o700); err != nil {
		return err
	}
	return makeFolder(m.serverFolder(server), 0o700)
}

// readsPath is where a server notes what was read of a host's image.
func (m manifest) readsPath(host, server string) string {
	return filepath.Join(m.serverFolder(server), filepath.Base(m.path(host)))
}

// servers are the names of those that ever served the directory.
func (m manifest) servers() (out []string) {
	folders, _ := os.ReadDir(m.notesFolder())
	for _, f := range folders {
		if f.IsDir() {
			out = append(out, f.Name())
		}
	}
	return out
}

// serverName is the name of the server that listens here at these addresses: it is the same
// after a restart, and no two servers have it at once.
func serverName(s Sockets) string {
	host, _ := os.Hostname()
	text := host
	if s.HTTP != nil {
		text += " http " + s.HTTP.Addr().String()
	}
	if s.HTTPS != nil {
		text += " https " + s.HTTPS.Addr().String()
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:6])
}

// notesOf are the files in which servers may have noted what was read of a host's image.
func (m manifest) notesOf(host string) (out []string) {
	for _, server := range m.servers() {
		out = append(out, m.readsPath(host, server))
	}
	return out
}

func readNote(path string, e entry) (n noted, ok bool) {
	b, err := readRegular(path)
	return n, err == nil && json.Unmarshal(b, &n) == nil && n.Token == e.Token
}

func (m manifest) note(host, server string, n noted) error {
	if m.dir == "" {
		return errors.New("no folder is known to note it in")
	}
	if err := m.makeServerFolder(server); err != nil {
		return err
	}
	return writeJSON(m.readsPath(host, server), n)
}

// reads are those that all servers noted of an entry's image. They are known only while
// one of them runs, and while their clocks agree with that of the run (nil: not compared).
func (m manifest) reads(e entry, clock func() time.Time) (r Reads, known bool) {
	r, noted := m.notes(e)
	return r, noted && m.served(clock)
}

// notes are what all servers noted. What was being fetched from a process that
// has ended is broken off.
func (m manifest) notes(e entry) (r Reads, ok bool) {
	for _, server := range m.servers() {
		n, is := readNote(m.readsPath(e.Host, server), e)
		if !is {
			continue
		}
		if p, there := m.pulseOf(server); !there || p.Process != n.Process || time.Since(p.Time).Abs() > pulseHolds {
			n.Fetches = ended(n.Fetches)
		}
		r, ok = r.and(n.Reads), true
	}
	return r, ok
}

// ended are fetches from a server that has ended.
func ended(all []Fetch) (out []Fetch) {
	for _, f := range all {
		if f, matters := f.ended(); matters {
			out = append(out, f)
		}
	}
	return out
}

// A server writes a heartbeat every few seconds. Without it, it is unknown what is read.
const (
	pulseEvery = 5 * time.Second
	pulseHolds = 20 * time.Second
)

// clocksDiffer is by how much two clocks may differ: by more, what was read before a reset
// seems to have been read after it, or the other way round.
const clocksDiffer = 3 * time.Second

// pulse is a heartbeat of a server.
type pulse struct {
	Process string    `json:"process"`
	Time    time.Time `json:"time"`  // by its machine's clock
	Clock   time.Time `json:"clock"` // by the one by which it notes reads
}

// pulsePath cannot be a host's file: the names of those end in .json.
func (m manifest) pulsePath(server string) string {
	return filepath.Join(m.serverFolder(server), ".served")
}

func (m manifest) pulse(server string, p pulse) error {
	if err := m.makeServerFolder(server); err != nil {
		return err
	}
	return writeJSON(m.pulsePath(server), p)
}

func (m manifest) pulseOf(server string) (p pulse, ok bool) {
	b, err := readRegular(m.pulsePath(server))
	return p, err == nil && json.Unmarshal(b, &p) == nil
}

// served reports whether one of our servers runs, and that the clocks of all that run
// agree with ours.
func (m manifest) served(clock func() time.Time) (there bool) {
	for _, server := range m.servers() {
		p, ok := m.pulseOf(server)
		if !ok {
			continue
		}
		age := time.Since(p.Time)
		if age < -clocksDiffer || age < pulseHolds && p.skewed(clock) {
			return false
		}
		there = there || age < pulseHolds
	}
	return there
}

// skewed reports whether the clock by which a server notes reads is not that of the run.
func (p pulse) skewed(clock func() time.Time) bool {
	if clock == nil {
		return false
	}
	server, run := p.Clock.Sub(p.Time), time.Until(clock())
	return (server - run).Abs() > clocksDiffer
}
