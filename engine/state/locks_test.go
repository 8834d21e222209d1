package state_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/state"
	"esxiplan/schema"
)

// childVariable lets the test binary be another process that takes locks.
const childVariable = "ESXIPLAN_STATE_CHILD"

func TestMain(m *testing.M) {
	if settings := os.Getenv(childVariable); settings != "" {
		work(settings)
		return
	}
	os.Exit(m.Run())
}

// childSettings are what a child takes.
type childSettings struct {
	Folders []string
	Keys    []string
	Run     string
	Host    string // faked; "" is the real one
	Lease   time.Duration
}

func (s childSettings) options() state.LockOptions {
	h := state.NewHolder(s.Run)
	if s.Host != "" {
		h.Host = s.Host
	}
	return state.LockOptions{Folders: s.Folders, Holder: h, Lease: s.Lease}
}

// work is a child: it prints the outcome of each command that it reads, on one line.
func work(settings string) {
	var s childSettings
	if err := json.Unmarshal([]byte(settings), &s); err != nil {
		panic(err)
	}
	say := func(err error) { fmt.Println(strings.ReplaceAll(fmt.Sprint(err), "\n", " ")) }
	var locks *state.Locks
	for commands := bufio.NewScanner(os.Stdin); commands.Scan(); {
		switch commands.Text() {
		case "acquire":
			var err error
			locks, err = state.Acquire(context.Background(), s.Keys, s.options())
			say(err)
		case "held":
			say(locks.Held())
		case "release":
			say(locks.Release())
		case "full disk":
			say(syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 0, Max: ^uint64(0)}))
		}
	}
}

type child struct {
	t   *testing.T
	c   *exec.Cmd
	in  io.Writer
	out *bufio.Scanner
}

func start(t *testing.T, s childSettings) *child {
	t.Helper()
	settings, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childVariable+"="+string(settings))
	in, err := c.StdinPipe()
	out, outErr := c.StdoutPipe()
	if err := errors.Join(err, outErr, c.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	return &child{t, c, in, bufio.NewScanner(out)}
}

// tell sends a command, whose answer may be read later.
func (c *child) tell(command string) {
	c.t.Helper()
	if _, err := fmt.Fprintln(c.in, command); err != nil {
		c.t.Fatal(err)
	}
}

func (c *child) answer() string {
	c.t.Helper()
	if !c.out.Scan() {
		c.t.Fatalf("the child has ended: %v", c.out.Err())
	}
	return c.out.Text()
}

const well = "<nil>"

// does sends a command and demands what its answer contains.
func (c *child) does(command, want string) {
	c.t.Helper()
	c.tell(command)
	if got := c.answer(); !strings.Contains(got, want) {
		c.t.Fatalf("%s: %s, want %s", command, got, want)
	}
}

func (c *child) signal(s syscall.Signal) {
	c.t.Helper()
	if err := c.c.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// kill ends the child as a crash does.
func (c *child) kill() {
	c.signal(syscall.SIGKILL)
	c.c.Wait()
}

// stop stops the child, and waits until it has stopped.
func (c *child) stop() {
	c.t.Helper()
	c.signal(syscall.SIGSTOP)
	for {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.c.Process.Pid))
		if err != nil {
			if os.Getenv("CI") != "" {
				c.t.Fatalf("CI must have /proc, which says when a process stands: %v", err)
			}
			c.t.Skip("only /proc says when a process stands")
		}
		if _, after, _ := strings.Cut(string(b), ") "); after[0] == 'T' {
			return
		}
	}
}

func acquire(s childSettings) (*state.Locks, error) {
	return state.Acquire(context.Background(), s.Keys, s.options())
}

func mustAcquire(t *testing.T, s childSettings) *state.Locks {
	t.Helper()
	l, err := acquire(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Release() })
	return l
}

// refused demands that a key is locked by a run.
func refused(t *testing.T, s childSettings, key, run string) *state.Locked {
	t.Helper()
	l, err := acquire(s)
	if err == nil {
		l.Release()
	}
	var locked *state.Locked
	if !errors.As(err, &locked) || locked.Key != key || locked.Holder.Run != run {
		t.Fatalf("got %v, want %s to be locked by %s", err, key, run)
	}
	return locked
}

// age makes all holders of a folder as old as if they had not been renewed for that long.
func age(t *testing.T, folder string, by time.Duration) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "holders", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no holder in %s: %v", folder, err)
	}
	for _, name := range files {
		then := time.Now().Add(-by)
		if err := os.Chtimes(name, then, then); err != nil {
			t.Fatal(err)
		}
	}
}

// files lists what is in a lock folder.
func files(t *testing.T, folder string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, d.Name())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestLockHoldsForAllSpellings: two plans that write a BMC's address in two ways lock
// one machine.
func TestLockHoldsForAllSpellings(t *testing.T) {
	key := func(address string) string {
		a, err := schema.ParseAddress(address)
		if err != nil {
			t.Fatal(err)
		}
		return a.Key()
	}
	for _, pair := range spellings {
		folders := []string{t.TempDir()}
		one := mustAcquire(t, childSettings{Folders: folders, Keys: []string{key(pair[0])}, Run: "one"})
		refused(t, childSettings{Folders: folders, Keys: []string{key(pair[1])}, Run: "two"}, key(pair[0]), "one")
		if err := one.Release(); err != nil {
			t.Error(err)
		}
		mustAcquire(t, childSettings{Folders: folders, Keys: []string{key(pair[0]), key("10.0.0.9")}, Run: "three"})
	}
}

// TestTwoAtOnce: the second run on a machine is refused and says who the first is, also in
// another state folder, also of the same name. It takes none of its other locks.
func TestTwoAtOnce(t *testing.T) {
	common := t.TempDir()
	first := start(t, childSettings{Folders: []string{t.TempDir(), common}, Keys: []string{"a", "b", "c"}, Run: "nightly"})
	first.does("acquire", well)
	for _, run := range []string{"nightly", "other"} {
		own := t.TempDir()
		second := start(t, childSettings{Folders: []string{own, common}, Keys: []string{"0", "b", "c", "z"}, Run: run})
		second.tell("acquire")
		got := second.answer()
		host, _ := os.Hostname()
		want := fmt.Sprintf("b is locked by run nightly of %s@%s, process %d, since ", state.NewHolder("").User, host, first.c.Process.Pid)
		if !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "; so is 1 more machine of this run. Wait for its end or stop it") {
			t.Errorf("got %s\nwant %s…", got, want)
		}
		if left := files(t, own); len(left) != 0 {
			t.Errorf("the refused run left %v", left)
		}
	}
	mustAcquire(t, childSettings{Folders: []string{common}, Keys: []string{"0", "z"}})
	first.does("held", well)
	first.does("release", well)
	first.does("held", "were released")
	mustAcquire(t, childSettings{Folders: []string{common}, Keys: []string{"b"}})
}

// TestCrashedHolder: the locks of a process that ended on this host are free at once.
func TestCrashedHolder(t *testing.T) {
	dir := t.TempDir()
	s := childSettings{Folders: []string{dir}, Keys: []string{"a", "b"}, Run: "crashed", Lease: time.Hour}
	c := start(t, s)
	c.does("acquire", well)
	refused(t, s, "a", "crashed")
	c.kill()
	s.Keys = []string{"b"}
	if err := mustAcquire(t, s).Release(); err != nil {
		t.Error(err)
	}
	s.Keys = []string{"a", "b"}
	if err := mustAcquire(t, s).Release(); err != nil {
		t.Error(err)
	}
	if left := files(t, dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// TestOtherHost: esxiplan cannot determine whether a holder on another host crashed, so its
// locks end with the lease.
func TestOtherHost(t *testing.T) {
	dir := t.TempDir()
	s := childSettings{Folders: []string{dir}, Keys: []string{"a"}, Run: "there", Host: "jenkins-3", Lease: time.Minute}
	c := start(t, s)
	c.does("acquire", well)
	c.kill()
	s.Host, s.Run = "jenkins-4", "here"
	locked := refused(t, s, "a", "there")
	if locked.Left <= 0 || locked.Left > time.Minute || !strings.Contains(locked.Error(), "@jenkins-3, process ") || !strings.Contains(locked.Error(), "if that process no longer exists, the lock ends by itself in ") {
		t.Errorf("%v", locked)
	}
	age(t, dir, 59*time.Second)
	refused(t, s, "a", "there")
	age(t, dir, time.Minute+time.Second)
	l := mustAcquire(t, s)
	if err := l.Held(); err != nil {
		t.Error(err)
	}
}

// TestStoppedHolder: a process that stood still for longer than its lease notices who has its
// locks, before it writes anything, and for good. The taker may have ended by then.
func TestStoppedHolder(t *testing.T) {
	for name, host := range map[string]string{"here": "", "on another host": "jenkins-3"} {
		for _, ended := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, taker ended %v", name, ended), func(t *testing.T) {
				dir := t.TempDir()
				s := childSettings{Folders: []string{dir}, Keys: []string{"a", "b"}, Run: "old", Host: host, Lease: time.Minute}
				old := start(t, s)
				old.does("acquire", well)
				old.stop()
				age(t, dir, 2*time.Minute)
				l := mustAcquire(t, childSettings{Folders: []string{dir}, Keys: []string{"b"}, Run: "new"})
				if ended { // then a third run has a claim with the same number as the stopped one had
					l.Release()
					l = mustAcquire(t, childSettings{Folders: []string{dir}, Keys: []string{"b"}, Run: "third"})
				}
				old.signal(syscall.SIGCONT)
				for range 2 {
					old.does("held", fmt.Sprintf("were taken over by run new of %s@", state.NewHolder("").User))
				}
				old.does("release", well)
				if claims, err := filepath.Glob(filepath.Join(dir, "b~*")); len(claims) != 1 {
					t.Errorf("the old holder took away the locks of the new one: %v, %v", claims, err)
				}
				l.Release()
				if left := files(t, dir); len(left) != 0 {
					t.Errorf("left: %v", left)
				}
			})
		}
	}
}

// TestStoppedUnnoticed: a process that stood still for longer than its lease keeps locks that
// no other process requested.
func TestStoppedUnnoticed(t *testing.T) {
	dir := t.TempDir()
	c := start(t, childSettings{Folders: []string{dir}, Keys: []string{"a"}, Run: "old", Host: "jenkins-3", Lease: 200 * time.Millisecond})
	c.does("acquire", well)
	c.stop()
	was, err := os.Stat(holderFile(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	for time.Since(was.ModTime()) < 300*time.Millisecond { // by the clock of the file system, which is this one
		<-time.After(10 * time.Millisecond)
	}
	c.signal(syscall.SIGCONT)
	c.does("held", well)
	refused(t, childSettings{Folders: []string{dir}, Keys: []string{"a"}}, "a", "old")
}

func holderFile(t *testing.T, dir string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "holders", "*.json"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%v %v", found, err)
	}
	return found[0]
}

// TestRealLease: with only the host name faked, others get the locks of a stopped holder after
// its lease, and the holder itself notices the loss.
func TestRealLease(t *testing.T) {
	dir := t.TempDir()
	s := childSettings{Folders: []string{dir}, Keys: []string{"a"}, Run: "old", Host: "jenkins-3", Lease: 800 * time.Millisecond}
	old := start(t, s)
	old.does("acquire", well)
	s.Run, s.Host = "new", "jenkins-4"
	for range 3 { // it states for much longer than a lease
		<-time.After(s.Lease)
		refused(t, s, "a", "old")
	}
	old.does("held", well)
	old.stop()
	for end := time.Now().Add(time.Minute); ; {
		l, err := acquire(s)
		if err == nil {
			defer l.Release()
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	old.signal(syscall.SIGCONT)
	old.does("held", "taken over by run new of ")
}

// TestFullDisk: locks outlive a disk without room for a while, and are lost before others may
// take them.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	c := start(t, childSettings{Folders: []string{dir}, Keys: []string{"a"}, Run: "full", Host: "jenkins-3", Lease: 2 * time.Second})
	c.does("acquire", well)
	c.does("full disk", well)
	c.does("held", well)
	began := time.Now()
	for {
		c.tell("held")
		said := c.answer()
		if said != well {
			if !strings.Contains(said, "could not be renewed before their lease of 2 seconds ended: lock folder "+dir) || !strings.Contains(said, "file too large") {
				t.Error(said)
			}
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatal("a holder that cannot renew its locks holds them for ever")
		}
	}
	if delay := time.Since(began); delay > 2*time.Second {
		t.Errorf("noticed after %s, later than others may take the locks", delay)
	}
}

// TestManyTakers: of twenty processes that want an expired lock, one gets it, and the others
// learn who that is.
func TestManyTakers(t *testing.T) {
	for _, keys := range [][]string{{"a"}, {"a", "b", "c"}} {
		for round := range 8 {
			dir := t.TempDir()
			s := childSettings{Folders: []string{dir}, Keys: keys, Run: "dead", Lease: time.Minute}
			dead := start(t, s)
			dead.does("acquire", well)
			if round%2 == 0 {
				dead.kill()
				compete(t, s, "")
			} else {
				dead.stop()
				age(t, dir, time.Hour)
				compete(t, s, "other-host")
			}
		}
	}
}

// compete lets twenty processes take the same locks, half of them on a host of that name.
func compete(t *testing.T, s childSettings, host string) {
	t.Helper()
	var takers []*child
	for i := range 20 {
		s.Run, s.Host = fmt.Sprint("taker", i), []string{"", host}[i%2]
		takers = append(takers, start(t, s))
	}
	for _, c := range takers {
		c.tell("acquire")
	}
	var winners, losers []string
	for i, c := range takers {
		if said := c.answer(); said == well {
			winners = append(winners, fmt.Sprintf("run taker%d of", i))
		} else {
			losers = append(losers, said)
		}
	}
	if len(winners) != 1 {
		t.Fatalf("%d winners: %v\n%s", len(winners), winners, strings.Join(losers, "\n"))
	}
	for _, said := range losers {
		if !strings.Contains(said, "is locked by "+winners[0]) {
			t.Errorf("%s won, a loser says: %s", winners[0], said)
		}
	}
	for _, c := range takers {
		c.kill()
	}
}

// TestReleaseUnderWay: a process that asks while locks are released gets all of them or none.
func TestReleaseUnderWay(t *testing.T) {
	dir := t.TempDir()
	s := childSettings{Folders: []string{dir}, Run: "releases"}
	for i := range 200 {
		s.Keys = append(s.Keys, fmt.Sprintf("m%03d", i))
	}
	for range 5 {
		c := start(t, s)
		c.does("acquire", well)
		c.tell("release")
		for {
			l, err := acquire(childSettings{Folders: []string{dir}, Keys: s.Keys, Run: "next"})
			if err == nil {
				if err := errors.Join(l.Held(), l.Release()); err != nil {
					t.Error(err)
				}
				break
			}
			var locked *state.Locked
			if !errors.As(err, &locked) || locked.Holder.Run != "releases" {
				t.Fatal(err)
			}
		}
		if said := c.answer(); said != well {
			t.Error(said)
		}
		if left := files(t, dir); len(left) != 0 {
			t.Fatalf("left: %v", left)
		}
	}
}

// TestLockFilesGone: a holder notices at once that its folder, or its file there, has gone or
// is another one, and soon that a claim has.
func TestLockFilesGone(t *testing.T) {
	for name, c := range map[string]struct {
		change func(dir string) error
		want   string
	}{
		"folder removed": {os.RemoveAll, "was removed, moved or replaced"},
		"folder removed and made again": {func(dir string) error {
			return errors.Join(os.RemoveAll(dir), os.MkdirAll(filepath.Join(dir, "holders"), 0o700))
		}, "was removed, moved or replaced"},
		"folder moved": {func(dir string) error { return os.Rename(dir, dir+".old") }, "locks was removed, moved or replaced"},
		"folder moved, another in its place": {func(dir string) error {
			return errors.Join(os.Rename(dir, dir+".old"), os.MkdirAll(filepath.Join(dir, "holders"), 0o700))
		}, "locks was removed, moved or replaced"},
		"holders removed":     {func(dir string) error { return os.RemoveAll(filepath.Join(dir, "holders")) }, "was removed, moved or replaced"},
		"holder file removed": {func(dir string) error { return os.Remove(holderFile(t, dir)) }, ".json was removed, moved or replaced"},
		"claim removed":       {func(dir string) error { return os.Remove(filepath.Join(dir, "a~1")) }, "a~1 was removed, moved or replaced"},
		"claim above":         {func(dir string) error { return os.WriteFile(filepath.Join(dir, "a~2"), nil, 0o600) }, "a~1 was removed, moved or replaced"},
		"holder file a link": {func(dir string) error {
			file := holderFile(t, dir)
			return errors.Join(os.Rename(file, file+".real"), os.Symlink(filepath.Base(file)+".real", file))
		}, ".json was removed, moved or replaced"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "locks")
			l := mustAcquire(t, childSettings{Folders: []string{t.TempDir(), dir}, Keys: []string{"a"}, Lease: 200 * time.Millisecond})
			if err := c.change(dir); err != nil {
				t.Fatal(err)
			}
			var err error
			for end := time.Now().Add(time.Minute); err == nil && time.Now().Before(end); { // a heartbeat comes every 50 ms
				err = l.Held()
			}
			var lost *state.Lost
			if !errors.As(err, &lost) || !strings.Contains(lost.Reason, c.want) || !strings.HasPrefix(lost.Next, "This run writes nothing more") {
				t.Errorf("%v, want %s", err, c.want)
			}
			if again := l.Held(); again != err {
				t.Errorf("then %v", again)
			}
		})
	}
}

// TestGarbage: a lock file that cannot be parsed is a lock of an unknown holder,
// until it is as old as a lease.
func TestGarbage(t *testing.T) {
	const id = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	garbage := map[string]string{"empty": "", "torn": `{"run":"x","host":"h","pid":1`, "binary": "\x00\xff\xfe", "null": "null", "list": "[]", "number": "7", "wrong types": `{"run":7,"pid":"x"}`,
		"no process": `{"lease_ms":60000}`, "negative": `{"pid":-1,"lease_ms":60000}`, "for ever": `{"pid":1,"lease_ms":9000000000000000}`, "long": strings.Repeat("x", 1<<20)}
	for name, text := range garbage {
		for _, file := range []string{"a~7", "holders/" + id + ".json"} {
			t.Run(name+" in "+filepath.Dir(file), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				file := filepath.Join(dir, file)
				err := errors.Join(os.Mkdir(filepath.Join(dir, "holders"), 0o700), os.WriteFile(filepath.Join(dir, "a~7"), []byte(id+"\n"), 0o600), os.WriteFile(file, []byte(text), 0o600))
				if err != nil {
					t.Fatal(err)
				}
				young := time.Now().Add(-30 * time.Second)
				if err := os.Chtimes(file, young, young); err != nil {
					t.Fatal(err)
				}
				s := childSettings{Folders: []string{dir}, Keys: []string{"a", "b"}, Lease: time.Minute}
				locked := refused(t, s, "a", "")
				if !strings.Contains(locked.Error(), "a is locked, but "+filepath.Join(dir, "a~7")+" cannot be read") {
					t.Error(locked)
				}
				old := time.Now().Add(-2 * time.Minute)
				if err := os.Chtimes(file, old, old); err != nil {
					t.Fatal(err)
				}
				if err := mustAcquire(t, s).Release(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestLinksInLockFolder: a link instead of a lock file is not followed, and nothing is written
// through it.
func TestLinksInLockFolder(t *testing.T) {
	dir, victim := t.TempDir(), filepath.Join(t.TempDir(), "victim")
	inside := filepath.Join(dir, "inside")
	for _, file := range []string{victim, inside} {
		if err := os.WriteFile(file, []byte("as it was"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"a~1": victim, "b~1": "inside", "c~1": "nowhere"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		refused(t, childSettings{Folders: []string{dir}, Keys: []string{name[:1]}}, name[:1], "")
	}
	for _, file := range []string{victim, inside} {
		if b, err := os.ReadFile(file); err != nil || string(b) != "as it was" {
			t.Errorf("%s: %q, %v", file, b, err)
		}
	}
}

// TestUnsafeFolders are refused with what to do.
func TestUnsafeFolders(t *testing.T) {
	for name, c := range map[string]struct {
		make func(dir string) error
		want string
	}{
		"others may write": {func(dir string) error { return errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o770)) }, "other users may write to"},
		"others may write holders": {func(dir string) error {
			return errors.Join(os.MkdirAll(filepath.Join(dir, "holders"), 0o700), os.Chmod(filepath.Join(dir, "holders"), 0o707))
		}, "other users may write to"},
		"a file": {func(dir string) error { return os.WriteFile(dir, nil, 0o600) }, "not a directory"},
		"a link": {func(dir string) error { return os.Symlink(t.TempDir(), dir) }, "is a symbolic link; name the folder itself"},
		"holders is one": {func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o700), os.Symlink("/tmp", filepath.Join(dir, "holders")))
		}, ""},
		"another user's": {func(dir string) error { return errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, 4711, -1)) }, "belongs to user 4711"},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.HasPrefix(name, "another user") && os.Geteuid() != 0 {
				t.Skip("only root can give a folder away")
			}
			dir := filepath.Join(t.TempDir(), "locks")
			if err := c.make(dir); err != nil {
				t.Fatal(err)
			}
			if l, err := acquire(childSettings{Folders: []string{dir}, Keys: []string{"a"}}); err == nil || !strings.HasPrefix(err.Error(), "lock folder") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, %v", l, err)
			}
		})
	}
}

// TestLockFilesArePrivate to the user.
func TestLockFilesArePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "locks")
	mustAcquire(t, childSettings{Folders: []string{dir}, Keys: []string{"a"}})
	n := 0
	err := filepath.WalkDir(filepath.Dir(dir), func(path string, d fs.DirEntry, err error) error {
		n++
		if info, infoErr := d.Info(); infoErr != nil || info.Mode().Perm() != map[bool]fs.FileMode{true: 0o700, false: 0o600}[d.IsDir()] {
			t.Errorf("%s: %v, %v", path, info.Mode(), infoErr)
		}
		return err
	})
	if err != nil || n != 6 {
		t.Errorf("%d files, %v", n, err)
	}
}

// TestLockKeys that cannot be the name of a file are refused; those that look odd are not.
func TestLockKeys(t *testing.T) {
	for _, key := range []string{"", ".", "..", ".x", "a/b", "a\\b", "a~1", "a\x00", strings.Repeat("a", 247)} {
		if _, err := acquire(childSettings{Folders: []string{t.TempDir()}, Keys: []string{"a", key}}); err == nil || !strings.Contains(err.Error(), "cannot be locked") {
			t.Errorf("%q: %v", key, err)
		}
	}
	keys := []string{"[fd00__a]_8443", "holders", "10.0.0.1", "run-nightly 7", strings.Repeat("a", 246), "10.0.0.1"}
	dir := t.TempDir()
	mustAcquire(t, childSettings{Folders: []string{dir, dir + "/."}, Keys: keys, Run: "odd"})
	for _, key := range keys {
		refused(t, childSettings{Folders: []string{dir}, Keys: []string{key}}, key, "odd")
	}
	for _, folders := range [][]string{nil, {dir}} {
		if _, err := acquire(childSettings{Folders: folders, Lease: 48 * time.Hour}); err == nil {
			t.Errorf("%v: no folder or a lease of two days is accepted", folders)
		}
	}
}

// TestInterruptedAcquire leaves nothing behind.
func TestInterruptedAcquire(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	dir := t.TempDir()
	_, err := state.Acquire(ctx, []string{"a"}, childSettings{Folders: []string{dir}}.options())
	if !errors.Is(err, context.Canceled) || len(files(t, dir)) != 0 {
		t.Errorf("%v, left %v", err, files(t, dir))
	}
}

// TestLockFolders: the state folder's, and one for all state folders where there can be one.
func TestLockFolders(t *testing.T) {
	home, own := t.TempDir(), filepath.Join("s", "locks")
	for name, c := range map[string]struct {
		home, variable string
		want           []string
	}{
		"usual":    {home, "", []string{own, filepath.Join(home, "esxiplan", "locks")}},
		"chosen":   {home, "/srv/locks", []string{own, "/srv/locks"}},
		"no home":  {"", "", []string{own}},
		"unusable": {"/dev/null", "", []string{own}},
	} {
		t.Setenv("XDG_CACHE_HOME", c.home)
		t.Setenv("HOME", c.home)
		t.Setenv("ESXIPLAN_LOCKS", c.variable)
		if got := state.LockFolders("s"); !slices.Equal(got, c.want) && !strings.Contains(strings.Join(got, " "), "Library") {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestNewHolder: the job of a CI system is named.
func TestNewHolder(t *testing.T) {
	t.Setenv("BUILD_TAG", "jenkins-lab-7")
	h := state.NewHolder("r")
	if h.User == "" || h.Host == "" || h.PID != os.Getpid() || !strings.HasSuffix(h.String(), ", job jenkins-lab-7") {
		t.Errorf("%+v: %s", h, h)
	}
}

// TestLockMessages: the messages that people on call read.
func TestLockMessages(t *testing.T) {
	seen := time.Date(2026, 3, 4, 14, 14, 30, 0, time.Local)
	h := state.Holder{Run: "nightly-7", Who: event.Who{User: "ci", Host: "jenkins-3", PID: 4711}, Since: seen.Add(-12 * time.Minute)}
	long := h
	long.Since, long.Job, long.Run = seen.Add(-50*time.Hour), "lab #7", "bad\x1b[31m\nname"
	ahead := h
	ahead.Since = seen.Add(time.Minute)
	for _, c := range []struct {
		e    state.Locked
		want string
	}{
		{state.Locked{Holder: h, Left: 42*time.Second + 1}, "h12 (bmc 10.0.0.12) is locked by run nightly-7 of ci@jenkins-3, process 4711, since 14:02 (12 minutes ago). Wait for its end or stop it; if that process no longer exists, the lock ends by itself in 43 seconds"},
		{state.Locked{Holder: h, Here: true, Others: 3}, "h12 (bmc 10.0.0.12) is locked by run nightly-7 of ci@jenkins-3, process 4711, since 14:02 (12 minutes ago); so are 3 more machines of this run. Wait for its end or stop it"},
		{state.Locked{Holder: long, Here: true}, "h12 (bmc 10.0.0.12) is locked by run bad?[31m?name of ci@jenkins-3, process 4711, job lab #7, since 2026-03-02 12:14 (2 days 2 hours ago). Wait for its end or stop it"},
		{state.Locked{Holder: ahead, Here: true}, "h12 (bmc 10.0.0.12) is locked by run nightly-7 of ci@jenkins-3, process 4711, since 14:15. Wait for its end or stop it"},
		{state.Locked{File: "/s/locks/10.0.0.12~1", Left: -time.Second}, "h12 (bmc 10.0.0.12) is locked, but /s/locks/10.0.0.12~1 cannot be read, so its holder is not known. Make sure that no other run works on it; the lock ends by itself in less than a second"},
	} {
		c.e.Name, c.e.Seen = "h12 (bmc 10.0.0.12)", seen
		if got := c.e.Error(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func thousands(n int) (keys []string) {
	for i := range n {
		keys = append(keys, fmt.Sprintf("10.0.%d.%d", i/250, i%250))
	}
	return keys
}

// BenchmarkAcquire takes and gives back the locks of 2,000 machines in two folders.
func BenchmarkAcquire(b *testing.B) {
	s := childSettings{Folders: []string{b.TempDir(), b.TempDir()}, Keys: thousands(2000)}
	for b.Loop() {
		l, err := acquire(s)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		l.Release()
		b.StartTimer()
	}
}

// BenchmarkHeld is what each write to a machine costs.
func BenchmarkHeld(b *testing.B) {
	l, err := acquire(childSettings{Folders: []string{b.TempDir(), b.TempDir()}, Keys: thousands(2000)})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Release()
	for b.Loop() {
		if err := l.Held(); err != nil {
			b.Fatal(err)
		}
	}
}
