package state

import (
	"errors"
	"io/fs"
	"math"
	"strings"
	"time"

	"esxiplan/engine/private"
)

// Refusals keeps refused logins per system in a folder, so that successive runs do not lock an
// account together. Dry runs keep them, too: they log in.
type Refusals struct {
	Dir string // the state folder
}

// refusalFile names the file of one system: a newly installed one has another certificate and
// its own count.
func refusalFile(address, fingerprint string) (string, error) {
	key, err := keyOf(address)
	return key + "-" + fingerprint[:min(len(fingerprint), 16)], err
}

// Between counts those of a time. An unreadable file counts as many, to protect the account.
func (r Refusals) Between(address, fingerprint string, from, to time.Time) int {
	b, err := r.read(address, fingerprint)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0
	case err != nil:
		return math.MaxInt
	}
	n := 0
	for line := range strings.Lines(string(b)) {
		at, err := time.Parse(time.RFC3339, strings.TrimSpace(line))
		if err == nil && at.After(from) && !at.After(to.Add(time.Minute)) {
			n++
		}
	}
	return n
}

func (r Refusals) read(address, fingerprint string) ([]byte, error) {
	name, err := refusalFile(address, fingerprint)
	if err != nil {
		return nil, err
	}
	root, err := private.OpenSub(r.Dir, "refused")
	if err != nil {
		return nil, err
	}
	defer root.Close()
	b, _, err := private.Read(root, name)
	return b, err
}

// Add notes one.
func (r Refusals) Add(address, fingerprint string, t time.Time) error {
	name, err := refusalFile(address, fingerprint)
	if err != nil {
		return err
	}
	root, err := private.MakeSub(r.Dir, "refused")
	if err != nil {
		return err
	}
	defer root.Close()
	f, err := private.Append(root, name)
	if err != nil {
		return err
	}
	_, err = f.WriteString(t.UTC().Format(time.RFC3339) + "\n")
	return errors.Join(err, f.Close())
}
