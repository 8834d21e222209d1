package state

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"esxiplan/engine/private"
)

// lockFolder is a lock folder, with what this process has in it. The package comment explains the
// protocol.
type lockFolder struct {
	path    string
	root    *os.Root
	holders *os.Root
	self    record
	id      string
	keys    []string       // in order
	mine    map[string]int // the numbers of our claims, by key
	name    func(key string) string
}

// claim is one that a dead holder left.
type claim struct {
	number int
	id     string // "" where the claim cannot be read
	notify bool   // its process may only be stopped, and ask later who has its locks
}

var idPattern = regexp.MustCompile(`^[A-Z2-7]{26}$`) // of rand.Text

// parseClaim reads the ID of the holder from a claim.
func parseClaim(b []byte) (id string, ok bool) {
	id, ended := strings.CutSuffix(string(b), "\n")
	return id, ended && idPattern.MatchString(id)
}

func claimName(key string, number int) string { return key + "~" + strconv.Itoa(number) }

// parseClaimName is the opposite of claimName; other files in the folder are ignored.
func parseClaimName(name string) (key string, number int, ok bool) {
	i := strings.LastIndexByte(name, '~')
	if i <= 0 {
		return "", 0, false
	}
	number, err := strconv.Atoi(name[i+1:])
	return name[:i], number, err == nil && number > 0 && claimName(name[:i], number) == name
}

// enter makes a lock folder where it does not exist, and a holder file in it.
func enter(dir string, self record, keys []string, name func(string) string) (*lockFolder, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	for _, folder := range []string{path, filepath.Join(path, "holders")} {
		if err := makeLockFolder(folder); err != nil {
			return nil, fmt.Errorf("lock folder: %w", err)
		}
	}
	d := &lockFolder{path: path, self: self, id: rand.Text(), keys: keys, mine: map[string]int{}, name: name}
	if err := d.open(); err != nil {
		d.leave()
		return nil, fmt.Errorf("lock folder %s: %w; make room there, or make it writable, and start again", path, err)
	}
	return d, nil
}

// makeLockFolder makes a folder that only we can write to, or checks the one that exists.
func makeLockFolder(path string) error {
	if err := private.MakeFolder(path); err != nil {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is a symbolic link; name the folder itself", path)
	}
	return private.Check(path, info)
}

func (d *lockFolder) open() (err error) {
	if d.root, err = os.OpenRoot(d.path); err != nil {
		return err
	}
	if d.holders, err = d.root.OpenRoot("holders"); err != nil {
		return err
	}
	content, err := json.Marshal(d.self)
	if err != nil {
		return err
	}
	if err := private.Create(d.holders, d.file(), append(content, '\n')); err != nil {
		return err
	}
	return private.Create(d.holders, d.template(), d.claimed())
}

func (d *lockFolder) file() string { return d.id + ".json" }

// touch writes a sign of life, and returns its time by the clock of the file system. It writes
// the same bytes again, so that a full disk does not matter.
func (d *lockFolder) touch() (time.Time, error) {
	f, _, err := private.Open(d.holders, d.file(), os.O_RDWR)
	if err != nil {
		return time.Time{}, err
	}
	first := make([]byte, 1)
	_, err = f.ReadAt(first, 0)
	if err == nil {
		_, err = f.WriteAt(first, 0)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return time.Time{}, err
	}
	f, info, err := private.Open(d.holders, d.file(), os.O_RDONLY) // opened again, so that NFS asks its server
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), f.Close()
}

// claims lists the numbers of the claims in the folder, by key.
func (d *lockFolder) claims() (map[string][]int, error) {
	f, err := d.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	found := map[string][]int{}
	for _, name := range names {
		if key, number, ok := parseClaimName(name); ok {
			found[key] = append(found[key], number)
		}
	}
	return found, err
}

// survey is one look at the claims of others on our keys.
type survey struct {
	*lockFolder
	now    time.Time
	states map[string]holderState // by ID
	locked *Locked
}

// holderState is what is known of a holder.
type holderState struct {
	holder  Holder // the zero value where its file cannot be read
	touched time.Time
	gone    bool // its file
	here    bool // on this host
	ended   bool // its process
	lease   time.Duration
}

func (l holderState) dead(now time.Time) bool {
	return l.gone || l.ended || now.Sub(l.touched) > l.lease
}

// survey finds the claims of dead holders, by key. The error is a *Locked if one is alive.
func (d *lockFolder) survey() (map[string][]claim, error) {
	now, err := d.touch()
	if err != nil {
		return nil, err
	}
	numbers, err := d.claims()
	if err != nil {
		return nil, err
	}
	s := survey{lockFolder: d, now: now, states: map[string]holderState{}}
	dead := map[string][]claim{}
	for _, key := range d.keys {
		slices.Sort(numbers[key])
		if dead[key], err = s.judge(key, numbers[key]); err != nil {
			return nil, err
		}
	}
	if s.locked != nil {
		return nil, s.locked
	}
	return dead, nil
}

// judge looks at the claims of others on a key, in order.
func (s *survey) judge(key string, numbers []int) (dead []claim, err error) {
	var alive *Locked
	for _, number := range numbers {
		if s.mine[key] == number {
			continue
		}
		id, l, err := s.claimState(claimName(key, number))
		switch {
		case errors.Is(err, fs.ErrNotExist): // withdrawn meanwhile
		case err != nil:
			return nil, err
		case l.dead(s.now):
			dead = append(dead, claim{number: number, id: id, notify: id != "" && !l.gone && !l.ended})
		default:
			alive = &Locked{Key: key, Name: s.name(key), Holder: l.holder, File: filepath.Join(s.path, claimName(key, number)), Here: l.here,
				Seen: time.Now(), Left: l.lease - s.now.Sub(l.touched)}
		}
	}
	s.count(alive)
	return dead, nil
}

// count keeps the first key that is locked, and counts the others.
func (s *survey) count(l *Locked) {
	switch {
	case l == nil:
	case s.locked == nil:
		s.locked = l
	default:
		s.locked.Others++
	}
}

// claimState reads a claim and its holder. A file that cannot be parsed counts as a holder whose last
// sign of life is the modification time of the file.
func (s *survey) claimState(name string) (id string, l holderState, err error) {
	b, info, err := private.Read(s.root, name)
	if info == nil {
		return "", holderState{}, err
	}
	id, ok := parseClaim(b)
	if !ok || err != nil {
		return "", holderState{touched: info.ModTime(), lease: s.self.lease()}, nil
	}
	l, known := s.states[id]
	if !known {
		if l, err = s.readHolder(id); err == nil {
			s.states[id] = l
		}
	}
	return id, l, err
}

// readHolder reads a holder file.
func (s *survey) readHolder(id string) (holderState, error) {
	b, info, err := private.Read(s.holders, id+".json")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return holderState{gone: true}, nil
	case info == nil:
		return holderState{}, err
	}
	l := holderState{touched: info.ModTime(), lease: s.self.lease()}
	if r, err := parseRecord(b); err == nil {
		l.holder, l.lease, l.here = r.Holder, r.lease(), r.Host == s.self.Host && r.Boot == s.self.Boot && r.Namespace == s.self.Namespace
		l.ended = l.here && r.ended(r.PID, s.self.process)
	}
	return l, nil
}

// errContended is a folder in which another process takes or releases the same locks at this
// moment.
var errContended = errors.New("another process takes and releases the same locks at this moment. Start again")

const (
	// longestPause ends the attempts to take contended locks, after twice that time.
	longestPause = 128 * time.Millisecond
	// writing is for how long a file that cannot be parsed may be one that is being written.
	writing = time.Second
)

// take claims all keys, or none. While another process does so, it tries again.
func (d *lockFolder) take(ctx context.Context) error {
	for pause := time.Millisecond; ; pause *= 2 {
		err := d.try(ctx)
		if err == nil {
			return nil
		}
		d.withdraw()
		var locked *Locked
		contended := errors.Is(err, errContended) || errors.As(err, &locked) && locked.Holder == (Holder{}) && d.self.lease()-locked.Left < writing
		if !contended || pause > longestPause {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// try claims all keys, unless a holder is alive.
func (d *lockFolder) try(ctx context.Context) error {
	dead, err := d.survey()
	if err != nil {
		return err
	}
	for _, key := range d.keys {
		if err := errors.Join(ctx.Err(), d.claim(key, dead[key])); err != nil {
			return err
		}
	}
	return d.verify()
}

// verify checks whether a dead holder came back or another process was faster, before the
// locks are ours.
func (d *lockFolder) verify() error {
	dead, err := d.survey()
	if err != nil {
		return err
	}
	for _, key := range d.keys {
		if claims := dead[key]; len(claims) > 0 && claims[len(claims)-1].number > d.mine[key] {
			return errContended
		}
	}
	d.removeDead(dead)
	return nil
}

// claim creates our claim on a key, above those of the dead.
func (d *lockFolder) claim(key string, dead []claim) error {
	number := 1
	if len(dead) > 0 {
		number = dead[len(dead)-1].number + 1
	}
	name := claimName(key, number)
	err := d.root.Link(filepath.Join("holders", d.template()), name) // a tenth of the time of a new file
	if err != nil && !errors.Is(err, fs.ErrExist) {                  // some file systems have no links, or few to one file
		err = private.Create(d.root, name, d.claimed())
	}
	switch {
	case errors.Is(err, fs.ErrExist) && !d.owns(name): // else NFS has repeated a request whose answer was lost
		return errContended
	case err != nil && !errors.Is(err, fs.ErrExist):
		return d.failed(err)
	}
	d.mine[key] = number
	return nil
}

// template is a file with the content of our claims.
func (d *lockFolder) template() string { return d.id + ".claim" }

func (d *lockFolder) claimed() []byte { return []byte(d.id + "\n") }

// owns reports that a claim is ours.
func (d *lockFolder) owns(name string) bool {
	b, _, err := private.Read(d.root, name)
	id, _ := parseClaim(b)
	return err == nil && id == d.id
}

// removeDead removes the files of dead holders. What cannot be removed does no harm, because
// our claims are above.
func (d *lockFolder) removeDead(dead map[string][]claim) {
	done := map[string]bool{"": true}
	for key, claims := range dead {
		for _, c := range claims {
			if !done[c.id] {
				d.removeHolder(c)
			}
			done[c.id] = true
			d.root.Remove(claimName(key, c.number))
		}
	}
}

func (d *lockFolder) removeHolder(c claim) {
	if c.notify {
		d.leaveNotice(c.id)
	}
	d.holders.Remove(c.id + ".json")
	d.holders.Remove(c.id + ".claim")
}

// noticeKept is how long a stopped process may take until it asks who has its locks.
const noticeKept = 7 * 24 * time.Hour

// leaveNotice leaves a file that names the new holder for the old one, and removes old notices.
func (d *lockFolder) leaveNotice(id string) {
	if content, _, err := private.Read(d.holders, d.file()); err == nil {
		private.Create(d.holders, id+".taken", content)
	}
	entries, _ := fs.ReadDir(d.holders.FS(), ".")
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), ".taken") && time.Since(info.ModTime()) > noticeKept {
			d.holders.Remove(e.Name())
		}
	}
}

// renew writes a sign of life, then checks whether all claims are still ours: a *Lost if not.
func (d *lockFolder) renew() error {
	_, err := d.touch()
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, private.ErrIrregular):
		return d.lost(filepath.Join("holders", d.file()))
	case err != nil:
		return d.failed(err)
	}
	here, err := d.root.Stat(".")
	if err != nil {
		return d.failed(err)
	}
	if there, err := os.Lstat(d.path); err != nil || !os.SameFile(here, there) {
		return removed(d.path)
	}
	return d.check()
}

func (d *lockFolder) failed(err error) error { return fmt.Errorf("lock folder %s: %w", d.path, err) }

// check looks for each of our claims, and for claims above them.
func (d *lockFolder) check() error {
	numbers, err := d.claims()
	if err != nil {
		return d.failed(err)
	}
	for _, key := range d.keys {
		if n := numbers[key]; !slices.Contains(n, d.mine[key]) || slices.Max(n) > d.mine[key] {
			return d.lost(claimName(key, d.mine[key]))
		}
	}
	return nil
}

// exists reports whether our holder file does; a taker removes it.
func (d *lockFolder) exists() bool {
	_, err := d.holders.Lstat(d.file())
	return !errors.Is(err, fs.ErrNotExist)
}

// lost says who has our locks now, or else that a file has gone.
func (d *lockFolder) lost(file string) *Lost {
	if b, _, err := private.Read(d.holders, d.id+".taken"); err == nil {
		if r, err := parseRecord(b); err == nil {
			return takenOver(r.Holder, d.self.lease(), time.Now())
		}
	}
	if by, ok := d.above(); ok {
		return takenOver(by, d.self.lease(), time.Now())
	}
	return removed(filepath.Join(d.path, file))
}

// above finds the holder of a claim above ours.
func (d *lockFolder) above() (Holder, bool) {
	numbers, _ := d.claims()
	s := survey{lockFolder: d}
	for _, key := range d.keys {
		if n := numbers[key]; len(n) > 0 && slices.Max(n) > d.mine[key] {
			b, _, _ := private.Read(d.root, claimName(key, slices.Max(n)))
			if id, ok := parseClaim(b); ok {
				l, err := s.readHolder(id)
				return l.holder, err == nil && l.holder != (Holder{})
			}
		}
	}
	return Holder{}, false
}

// withdraw removes our claims, and none of a holder that took one over.
func (d *lockFolder) withdraw() error {
	var failed error
	for key, number := range d.mine {
		if name := claimName(key, number); d.owns(name) {
			if err := d.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				failed = d.failed(err)
			}
		}
	}
	clear(d.mine)
	return failed
}

// leave removes what is ours.
func (d *lockFolder) leave() error {
	if d.root != nil {
		defer d.root.Close()
	}
	if d.holders == nil {
		return nil
	}
	defer d.holders.Close()
	err := d.withdraw()
	for _, name := range []string{d.template(), d.file(), d.id + ".taken"} {
		if removeErr := d.holders.Remove(name); removeErr != nil && !errors.Is(removeErr, fs.ErrNotExist) {
			err = errors.Join(err, d.failed(removeErr))
		}
	}
	return err
}
