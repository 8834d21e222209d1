package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"esxiplan/engine/text"
)

// defaultLease is how long a lock outlives the last sign of life of its holder.
const defaultLease = time.Minute

// LockOptions say where locks are taken, and for whom.
type LockOptions struct {
	Folders []string                // one or more; see LockFolders
	Holder  Holder                  // see NewHolder
	Lease   time.Duration           // at most a day; 0: a minute
	Name    func(key string) string // what messages call a key; nil: the key itself
}

// Locks are held by this process until Release, or until they are lost.
type Locks struct {
	lease   time.Duration
	stop    chan struct{}
	stopped chan struct{}
	release func() error

	mu      sync.Mutex
	folders []*lockFolder
	renewed time.Time // when the last renewal that succeeded began
	wall    time.Time // the same by the wall clock
	lost    *Lost
}

// OwnLocks is the folder of what only one state folder has: its runs, simulated machines.
func OwnLocks(stateDir string) []string { return []string{filepath.Join(stateDir, "locks")} }

// LockFolders are those for a state folder: its own, and one for all state folders of this user,
// so that plans in two folders do not work on one BMC: $ESXIPLAN_LOCKS, or esxiplan/locks in the
// user's cache folder if that can be used.
func LockFolders(stateDir string) []string {
	folders := OwnLocks(stateDir)
	if dir := os.Getenv("ESXIPLAN_LOCKS"); dir != "" {
		return append(folders, dir)
	}
	if cache, err := os.UserCacheDir(); err == nil {
		if dir := filepath.Join(cache, "esxiplan", "locks"); makeLockFolder(dir) == nil {
			return append(folders, dir)
		}
	}
	return folders
}

// Acquire takes the locks of all keys in all folders, or none. Keys are those of machines
// (schema.Address.Key) or of runs; a key may be given twice. The error is a *Locked if another
// process holds one. ctx ends the attempt only.
func Acquire(ctx context.Context, keys []string, o LockOptions) (*Locks, error) {
	keys, err := checkKeys(keys)
	if err != nil {
		return nil, err
	}
	if o.Lease == 0 {
		o.Lease = defaultLease
	}
	if o.Name == nil {
		o.Name = func(key string) string { return key }
	}
	l := &Locks{lease: o.Lease, stop: make(chan struct{}), stopped: make(chan struct{})}
	l.release = sync.OnceValue(l.end)
	if err := l.take(ctx, keys, o); err != nil {
		l.leave()
		return nil, err
	}
	go l.beat()
	return l, nil
}

// longestKey leaves room for a number where a key becomes the name of a file.
const longestKey = 246

// checkKeys sorts keys, so that two takers meet at the first key that both need.
func checkKeys(keys []string) ([]string, error) {
	keys = slices.Compact(slices.Sorted(slices.Values(keys)))
	for _, key := range keys {
		if key == "" || len(key) > longestKey || key[0] == '.' || strings.ContainsAny(key, "/\\~\x00") {
			return nil, fmt.Errorf("%q cannot be locked: the name of a run or machine has 1 to %d bytes, none of them / \\ or ~, "+
				"and does not begin with a dot", key, longestKey)
		}
	}
	return keys, nil
}

func (l *Locks) take(ctx context.Context, keys []string, o LockOptions) error {
	if len(o.Folders) == 0 || o.Lease < time.Millisecond || o.Lease > longestLease {
		return fmt.Errorf("locks need a folder and a lease of up to %s, not %s", text.Duration(longestLease), o.Lease)
	}
	self := record{Holder: o.Holder, process: thisProcess(), Lease: o.Lease.Milliseconds()}
	self.PID, self.Since = os.Getpid(), time.Now()
	for _, dir := range o.Folders {
		p, err := enter(dir, self, keys, o.Name)
		if err != nil {
			return err
		}
		if l.has(p) {
			p.leave()
			continue
		}
		l.folders = append(l.folders, p)
		if err := p.take(ctx); err != nil {
			return err
		}
	}
	return l.confirm()
}

// has reports that a folder was given by another name already.
func (l *Locks) has(p *lockFolder) bool {
	return slices.ContainsFunc(l.folders, func(q *lockFolder) bool {
		a, err := p.root.Stat(".")
		b, otherErr := q.root.Stat(".")
		return errors.Join(err, otherErr) == nil && os.SameFile(a, b)
	})
}

// limit is how long after a renewal the locks are ours without another. The rest of the lease is
// for the write that Held allowed.
func (l *Locks) limit() time.Duration { return l.lease - l.lease/4 }

// fresh reports that the last renewal is recent by both clocks. A wall clock that was set back
// says nothing.
func (l *Locks) fresh() bool {
	now := time.Now()
	wall := now.Round(0).Sub(l.wall)
	return now.Sub(l.renewed) < l.limit() && wall >= 0 && wall < l.limit()
}

// beat renews until the end, or until the locks are lost.
func (l *Locks) beat() {
	defer close(l.stopped)
	t := time.NewTicker(l.lease / 4)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-l.stop:
			return
		}
		l.mu.Lock()
		if l.lost == nil {
			l.renew()
		}
		lost := l.lost != nil
		l.mu.Unlock()
		if lost {
			return
		}
	}
}

// renew renews in all folders. A failure is final when the lease is about to end.
func (l *Locks) renew() {
	began := time.Now()
	var err error
	for _, p := range l.folders {
		if err = p.renew(); err != nil {
			break
		}
	}
	if err == nil {
		l.renewed, l.wall = began, began.Round(0)
	}
	var lost *Lost
	switch {
	case errors.As(err, &lost):
		l.lost = lost
	case !l.fresh():
		l.lost = outdated(l.lease, err)
	}
}

// Held is nil while all locks are certainly ours; it is called before each write to a machine. An
// error is a *Lost, and final. Usually it costs a look at one file per folder (1 µs on a local
// file system); a process that was stopped or suspended renews its locks first.
func (l *Locks) Held() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.confirm()
}

func (l *Locks) confirm() error {
	if l.lost == nil && (!l.exist() || !l.fresh()) {
		l.renew()
	}
	if l.lost != nil {
		return l.lost
	}
	return nil
}

func (l *Locks) exist() bool {
	return !slices.ContainsFunc(l.folders, func(p *lockFolder) bool { return !p.exists() })
}

// Release gives the locks back. It removes only what is ours, and may be called again.
func (l *Locks) Release() error { return l.release() }

func (l *Locks) end() error {
	close(l.stop)
	<-l.stopped
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost == nil {
		l.lost = &Lost{Reason: "the locks of this run were released", Next: "Take them again before the next write"}
	}
	return l.leave()
}

func (l *Locks) leave() (err error) {
	for _, p := range l.folders {
		err = errors.Join(err, p.leave())
	}
	return err
}
