package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"esxiplan/engine/private"
)

// inBubble takes the lock of "a" with a lease of a minute, on a clock that stands still unless
// the test waits.
func inBubble(t *testing.T, do func(l *Locks, p *lockFolder)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l, err := Acquire(context.Background(), []string{"a"}, LockOptions{Folders: []string{dir}})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Release()
		do(l, l.folders[0])
	})
}

func aged(t *testing.T, p *lockFolder) time.Time {
	t.Helper()
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(p.path, "holders", p.file()), old, old); err != nil {
		t.Fatal(err)
	}
	return old
}

// signed reports whether a holder gave a sign of life since.
func signed(t *testing.T, p *lockFolder, since time.Time) bool {
	t.Helper()
	info, err := os.Stat(filepath.Join(p.path, "holders", p.file()))
	if err != nil {
		t.Fatal(err)
	}
	return !info.ModTime().Equal(since)
}

// TestHeartbeat: locks are renewed four times per lease, for as long as the process runs.
func TestHeartbeat(t *testing.T) {
	inBubble(t, func(l *Locks, p *lockFolder) {
		for range 20 {
			old := aged(t, p)
			time.Sleep(l.lease/4 + time.Millisecond)
			synctest.Wait()
			if !signed(t, p, old) {
				t.Fatal("no sign of life for a quarter of the lease")
			}
		}
		time.Sleep(3 * time.Hour)
		if err := l.Held(); err != nil {
			t.Error(err)
		}
	})
}

// TestFailingRenewal: a folder that cannot be written to for a while costs nothing; for longer,
// the locks are lost a quarter before the lease ends, for good.
func TestFailingRenewal(t *testing.T) {
	inBubble(t, func(l *Locks, p *lockFolder) {
		for _, good := range []bool{true, false} {
			p.holders.Close() // as if the file server were away
			time.Sleep(44 * time.Second)
			if err := l.Held(); err != nil {
				t.Fatalf("lost early: %v", err)
			}
			if !good {
				break
			}
			reopen(t, l)
			time.Sleep(time.Minute + time.Second + time.Millisecond) // until just after a beat
			if err := l.Held(); err != nil {
				t.Fatalf("not recovered: %v", err)
			}
		}
		time.Sleep(15 * time.Second)
		err := l.Held()
		var lost *Lost
		if !errors.As(err, &lost) || !errors.Is(err, os.ErrClosed) || !strings.Contains(lost.Reason, "could not be renewed before their lease of 1 minute ended: lock folder "+p.path) {
			t.Fatal(err)
		}
		reopen(t, l)
		time.Sleep(time.Minute)
		if again := l.Held(); again != err {
			t.Errorf("then %v", again)
		}
	})
}

// reopen lets the file server be back.
func reopen(t *testing.T, l *Locks) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	if l.folders[0].holders, err = l.folders[0].root.OpenRoot("holders"); err != nil {
		t.Fatal(err)
	}
}

// TestSuspended: a host that was suspended has a monotonic clock that stood still, and one whose
// clock was set has a wall clock that says nothing. Both renew before the next write.
func TestSuspended(t *testing.T) {
	for name, change := range map[string]func(l *Locks){
		"suspended":              func(l *Locks) { l.wall = l.wall.Add(-time.Hour) },
		"set back":               func(l *Locks) { l.wall = l.wall.Add(time.Hour) },
		"set back while stopped": func(l *Locks) { l.renewed = l.renewed.Add(-time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(l *Locks, p *lockFolder) {
				old := aged(t, p)
				if err := l.Held(); err != nil || signed(t, p, old) {
					t.Errorf("renewed for no reason: %v", err)
				}
				change(l)
				if err := l.Held(); err != nil || !signed(t, p, old) {
					t.Errorf("not renewed: %v", err)
				}
				change(l)
				if err := private.Create(p.root, claimName("a", 2), []byte("x")); err != nil {
					t.Fatal(err)
				}
				if err := l.Held(); err == nil {
					t.Error("held, although another process has a claim above")
				}
			})
		})
	}
}

// TestWithoutLinks: where the file system has no hard links, claims are files.
func TestWithoutLinks(t *testing.T) {
	dir := t.TempDir()
	p, q := join(t, dir, "one"), join(t, dir, "two")
	defer p.leave()
	defer q.leave()
	p.holders.Remove(p.template())
	if err := p.take(context.Background()); err != nil || p.check() != nil || !p.owns("a~1") {
		t.Fatal(err)
	}
	if err := q.take(context.Background()); err == nil || !strings.Contains(err.Error(), "locked by run one of ") {
		t.Error(err)
	}
	q.holders.Remove(q.template())
	if err := q.claim("a", nil); err != errContended {
		t.Errorf("got %v", err)
	}
	if err := p.claim("a", nil); err != nil { // asked for twice by the file system
		t.Error(err)
	}
}

// TestClaimBeingWritten: where there are no links, a claim may be seen before its content, and is
// looked at again.
func TestClaimBeingWritten(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a~1"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		taken := make(chan error)
		var l *Locks
		go func() {
			var err error
			l, err = Acquire(context.Background(), []string{"a"}, LockOptions{Folders: []string{dir}})
			taken <- err
		}()
		synctest.Wait()
		if err := os.WriteFile(filepath.Join(dir, "a~1"), []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZ\n"), 0o600); err != nil { // which has ended
			t.Fatal(err)
		}
		if err := <-taken; err != nil {
			t.Fatal(err)
		}
		l.Release()
	})
}

// TestClaimBelow: a claim that turns out to be below another one is no lock, also if that one
// is dead.
func TestClaimBelow(t *testing.T) {
	p := join(t, t.TempDir(), "second")
	defer p.leave()
	if err := p.claim("a", nil); err != nil {
		t.Fatal(err)
	}
	if err := private.Create(p.root, "a~7", []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZ\n")); err != nil {
		t.Fatal(err)
	}
	if err := p.verify(); err != errContended {
		t.Errorf("got %v", err)
	}
	p.withdraw()
	if err := p.take(context.Background()); err != nil || p.mine["a"] != 8 || p.check() != nil {
		t.Errorf("%v, %v", err, p.mine)
	}
}

// TestOldNotices: what was left for processes that never asked is removed after a week.
func TestOldNotices(t *testing.T) {
	p := join(t, t.TempDir(), "new")
	defer p.leave()
	for name, days := range map[string]int{"OLD.taken": 8, "YOUNG.taken": 6, "OLD.json": 8} {
		name = filepath.Join(p.path, "holders", name)
		then := time.Now().AddDate(0, 0, -days)
		if err := errors.Join(os.WriteFile(name, nil, 0o600), os.Chtimes(name, then, then)); err != nil {
			t.Fatal(err)
		}
	}
	p.leaveNotice("DEAD")
	for name, want := range map[string]bool{"OLD.taken": false, "YOUNG.taken": true, "OLD.json": true, "DEAD.taken": true} {
		if _, err := p.holders.Lstat(name); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEnded: a process has ended when its number is free or belongs to a later one. For one in
// another container or before another start of the host it is unknown.
func TestEnded(t *testing.T) {
	here := thisProcess()
	if here.Started == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("CI must run on Linux, which distinguishes processes")
		}
		t.Skip("only Linux distinguishes processes")
	}
	c := exec.Command("cat")
	in, err := c.StdinPipe()
	if err := errors.Join(err, c.Start()); err != nil {
		t.Fatal(err)
	}
	pid := c.Process.Pid
	started, _ := processStat(pid)
	for name, change := range map[string]func(*process) bool{
		"states":            func(*process) bool { return false },
		"later one":         func(p *process) bool { p.Started = "1"; return true },
		"not known when":    func(p *process) bool { p.Started = ""; return false },
		"other container":   func(p *process) bool { p.Started, p.Namespace = "1", "pid:[1]"; return false },
		"other start":       func(p *process) bool { p.Started, p.Boot = "1", "x"; return false },
		"unknown container": func(p *process) bool { p.Started, p.Namespace = "1", ""; return false },
	} {
		p := here
		p.Started = started
		if want := change(&p); p.ended(pid, here) != want {
			t.Errorf("%s: ended %v", name, !want)
		}
	}
	if unknown := (process{Started: "1"}); unknown.ended(pid, unknown) {
		t.Error("without /proc a process is taken for dead")
	}
	here.Started = started
	c.Process.Kill()
	for state := ""; state != "Z"; _, state = processStat(pid) { // until it is dead, but not waited for
	}
	if !here.ended(pid, here) {
		t.Error("a zombie states")
	}
	in.Close()
	c.Wait()
	if !here.ended(pid, here) {
		t.Error("a process that is gone states")
	}
}

// FuzzLockFiles: whatever is in a lock folder is parsed or not, and never shown with control
// characters.
func FuzzLockFiles(f *testing.F) {
	whole, err := json.Marshal(record{Holder: NewHolder("r"), process: thisProcess(), Lease: 60000})
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{"", "ABCDEFGHIJKLMNOPQRSTUVWXYZ\n", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "../../etc/passwd\n", "a~1", "a~0", "~1", "a~~2", "a~01", "a~99999999999999999999", string(whole), string(whole[:40]), `{"run":"\u001b[31m","pid":1,"lease_ms":1}`, "null", "\x00"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if id, ok := parseClaim(b); ok && (!idPattern.MatchString(id) || filepath.Base(id) != id) {
			t.Errorf("ID %q", id)
		}
		if key, number, ok := parseClaimName(string(b)); ok && (claimName(key, number) != string(b) || key == "" || number < 1) {
			t.Errorf("claim %q %d", key, number)
		}
		r, err := parseRecord(b)
		if err == nil && (r.lease() <= 0 || r.lease() > longestLease || r.PID < 1) {
			t.Errorf("%+v", r)
		}
		said := (&Locked{Name: "a", Holder: r.Holder, Seen: time.Now(), Left: r.lease()}).Error() + takenOver(r.Holder, r.lease(), time.Now()).Error()
		if strings.ContainsFunc(said, unicode.IsControl) {
			t.Errorf("%q", said)
		}
	})
}

// BenchmarkRenew is a heartbeat for 2,000 machines.
func BenchmarkRenew(b *testing.B) {
	var keys []string
	for i := range 2000 {
		keys = append(keys, fmt.Sprint("m", i))
	}
	p, err := enter(b.TempDir(), record{Holder: NewHolder("r"), process: thisProcess(), Lease: 60000}, keys, nil)
	if err == nil {
		err = p.take(context.Background())
	}
	if err != nil {
		b.Fatal(err)
	}
	defer p.leave()
	for b.Loop() {
		if err := p.renew(); err != nil {
			b.Fatal(err)
		}
	}
}
