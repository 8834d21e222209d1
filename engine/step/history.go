package step

import (
	"maps"
	"slices"
	"strings"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/event"
)

// History is what is known of one machine: a fold over the records of this run and of
// earlier ones. It is the one place that says what changes mean. The zero value knows
// nothing.
type History struct {
	state
	model      string  // of the machine; "": not known
	continuous bool    // this service knows only continuous overrides
	recent     []entry // the latest changes, whose fates may still come
	made       []Made  // in the run that is under way
	run        string  // whose changes made holds
}

// state is what changes are about. Nothing in it is modified, only replaced.
type state struct {
	media map[string]Mount // by drive, in the words of changes: "slot CD1"
	boot  Override
	taken Override // that we took away last, and that was to be gone with that
	reset *LastReset
	off   *event.Change // our ForceOff, until the start that follows
}

// keptEntries is how many changes may still be settled. A machine has one at a time.
const keptEntries = 16

// entry is a change whose fate may still come, or come again: one that was refused may have
// been done all the same. before is the part of the state that its fate can put back.
type entry struct {
	Record
	fate   event.Fate
	before state
}

// Mount is an image that we put into a drive and, as far as is known, did not take out.
type Mount struct {
	Drive  string // "slot CD1"
	URL    string
	Medium string // digest of what is on it, "" where the image is not ours
	Change string
}

// In reports whether a drive holds the mount. Some BMCs do not tell which image is mounted;
// there the drive that we put it into must do. One that a BMC shows in two places has the
// same name in both.
func (m Mount) In(s bmc.Slot) bool {
	return s.Loaded && (s.Image == m.URL || s.Image == "" && s.Name() == m.Drive)
}

// Override is a boot source that we set and that none of our boots used up.
type Override struct {
	Target string
	Stays  bool // no boot uses it up
	Change string
}

// LastReset is the last boot of a machine that we asked for.
type LastReset struct {
	Run, Step string
	Time      time.Time
	Before    event.Snapshot
	Medium    string    // digest of the medium that it was to boot
	Boot      Override  // that we had set for it
	Open      bool      // it can have started an installer, and the installation is neither proven nor timed out
	Proven    bool      // it is proven
	ProvenAt  time.Time `json:",omitzero"` // when a step that succeeded proved it last, also after the wait for it failed
	Change    string
	Phases    []Passed   `json:",omitempty"` // that the installation was seen to enter, in their order
	Asked     time.Time  // when a start was last asked for
	Fate      event.Fate // done, once the BMC said so of a start
}

// Passed is a phase of an installation, and when it was entered.
type Passed struct {
	Phase event.Phase
	Time  time.Time
}

// Phase is the last phase that the installation was seen to enter, "" where none was seen.
func (l LastReset) Phase() event.Phase {
	if len(l.Phases) == 0 {
		return ""
	}
	return l.Phases[len(l.Phases)-1].Phase
}

// latest is the last phase that the installation was seen to enter, for who did not see it.
func (l LastReset) latest() event.Entered {
	if len(l.Phases) == 0 {
		return event.Entered{}
	}
	p := l.Phases[len(l.Phases)-1]
	return event.Entered{Phase: p.Phase, Since: p.Time, Evidence: "seen at " + ClockTime(p.Time)}
}

// ProvenAfter reports that the installation was proven after a time.
func (l LastReset) ProvenAfter(t time.Time) bool {
	return l.ProvenAt.After(t)
}

// Answered is the evidence that the machine was restarted: the BMC said so.
func (l LastReset) Answered() string {
	return "the reset at " + l.Time.Local().Format(time.TimeOnly) + " was answered"
}

// Made is a change of the run under way, with what came of it. Unknown is also the fate
// of a change about which nothing was heard yet.
type Made struct {
	Step string
	event.Change
	Fate event.Fate
}

// Record is an entry of the log, as far as it tells of a machine: exactly one of Change,
// Settled, Verdict and Entered is set.
type Record struct {
	Run, Step string
	Time      time.Time
	Change    *event.Change
	Settled   *event.Settled
	Verdict   *event.Verdict
	Entered   *event.Entered
	Failed    bool // the step that gave the verdict failed
}

// Follow tells which run is under way, so that its changes can be asked for.
func (h *History) Follow(run string) {
	if run != h.run {
		h.run, h.made = run, nil
	}
}

// Fold takes in a record.
func (h *History) Fold(r Record) {
	h.Recount(r)
	switch {
	case r.Change != nil:
		h.keep(r)
		h.apply(r)
	case r.Settled != nil:
		h.settle(*r.Settled)
	case r.Verdict != nil:
		h.conclude(r)
	case r.Entered != nil:
		h.enter(r.Time, *r.Entered)
	}
}

// enter takes in that the installation of the last reset came into a phase. One of an earlier
// reset tells nothing any more.
func (h *History) enter(at time.Time, e event.Entered) {
	if e.Model != "" {
		h.model = e.Model
	}
	if h.reset == nil || !h.reset.Time.Equal(e.Reset) || !e.Phase.After(h.reset.Phase()) {
		return
	}
	entered := *h.reset
	entered.Phases = append(slices.Clip(entered.Phases), Passed{e.Phase, at})
	h.reset = &entered
}

// Model is the model of the machine, "" where no record tells it.
func (h History) Model() string { return h.model }

// keep remembers a change whose fate can change the state. What another run did before, and
// was done, stays so.
func (h *History) keep(r Record) {
	e := entry{Record: r, fate: event.Unknown}
	switch c := r.Change; c.Verb {
	case event.Insert:
		if m, ok := h.media[c.Target]; ok {
			e.before.media = map[string]Mount{c.Target: m}
		}
	case event.SetBoot:
		e.before.boot = h.boot
	case event.Reset:
		e.before = state{boot: h.boot, reset: h.reset, off: h.off}
	case event.Eject: // a fate only adds to the state
	default: // nothing at the machine
		return
	}
	h.recent = slices.DeleteFunc(h.recent, func(old entry) bool { return old.Run != r.Run && old.fate == event.Done })
	if len(h.recent) == keptEntries {
		h.recent = slices.Delete(h.recent, 0, 1)
	}
	h.recent = append(h.recent, e)
}

// Stopped reports that the run under way has restarted the machine, or powered it off, as far as
// is known.
func (h History) Stopped() bool {
	return slices.ContainsFunc(h.made, func(m Made) bool { return m.Verb == event.Reset && m.Took() })
}

// Recount takes a record in for [History.Made] only: one of the run under way that the
// history holds already.
func (h *History) Recount(r Record) {
	switch {
	case r.Change != nil && r.Run == h.run:
		h.made = append(h.made, Made{r.Step, *r.Change, event.Unknown})
	case r.Settled != nil:
		if i := slices.IndexFunc(h.made, func(m Made) bool { return m.ID == r.Settled.Change }); i >= 0 {
			h.made = slices.Clone(h.made) // copies of this history share it
			h.made[i].Fate = r.Settled.Fate
		}
	}
}

// apply takes a change for one that happens: until its fate is known, it may have.
func (h *History) apply(r Record) {
	c := *r.Change
	switch c.Verb {
	case event.Insert:
		h.setMount(c.Target, Mount{c.Target, c.New, c.Medium, c.ID})
	case event.SetBoot:
		if c.New != string(bmc.BootNone) { // what is to be taken away is there until that is done
			h.boot = Override{Target: c.New, Change: c.ID}
		}
	case event.Reset:
		h.applyReset(r, c)
	}
}

// done takes in that a change took place which counts only then.
func (h *History) done(r Record) {
	c := *r.Change
	switch {
	case c.Starts() && h.reset != nil && h.reset.Run == r.Run && h.reset.Step == r.Step:
		started := *h.reset
		started.Fate = event.Done
		h.reset = &started
	case c.Verb == event.Eject:
		h.dropMounts(func(m Mount) bool { return m.Drive == c.Target || m.URL == c.Old })
	case c.Verb == event.SetBoot && c.New == string(bmc.BootNone) && h.boot.Target != "":
		h.boot, h.taken = Override{}, h.boot
	}
}

func (h *History) setMount(drive string, m Mount) {
	h.media = maps.Clone(h.media)
	if h.media == nil {
		h.media = map[string]Mount{}
	}
	h.media[drive] = m
}

func (h *History) dropMounts(drop func(Mount) bool) {
	h.media = maps.Clone(h.media)
	maps.DeleteFunc(h.media, func(_ string, m Mount) bool { return drop(m) })
}

// applyReset: off is the first half of a restart and keeps what answered before; the
// request that starts the machine is the reset. Asked for again by the same step, it is
// the same reset.
func (h *History) applyReset(r Record, c event.Change) {
	if !c.Starts() {
		h.off = &c
		return
	}
	if again := h.reset != nil && h.reset.Run == r.Run && h.reset.Step == r.Step; again {
		repeated := *h.reset
		repeated.Asked = r.Time
		h.reset = &repeated
	} else {
		h.reset = &LastReset{Run: r.Run, Step: r.Step, Time: r.Time, Open: c.Installs || c.Risk == event.Wipes, Medium: c.Medium, Boot: h.boot,
			Before: h.snapshot(c.Before), Change: c.ID, Asked: r.Time, Fate: event.Unknown}
	}
	if !h.boot.Stays {
		h.boot = Override{}
	}
	h.off = nil
}

// snapshot is what answered before the machine went off, or before the reset.
func (h *History) snapshot(before *event.Snapshot) (out event.Snapshot) {
	if before != nil {
		out = *before
	}
	if out.Fingerprint == "" && h.off != nil && h.off.Before != nil {
		out = *h.off.Before
	}
	return out
}

// settle takes in what came of a change.
func (h *History) settle(s event.Settled) {
	i := slices.IndexFunc(h.recent, func(e entry) bool { return e.Change.ID == s.Change })
	if i < 0 {
		h.forget(s)
		h.stays(s)
		return
	}
	e := &h.recent[i]
	was := e.fate
	e.fate = s.Fate
	switch {
	case s.Fate == event.Refused:
		h.takeBack(*e)
	case (was == event.Refused || was == event.Undone) && s.Fate == event.Done: // it was answered by a refusal, or showed no effect, and was done all the same
		h.apply(e.Record)
	case s.Fate == event.Undone && e.Change.Verb == event.Reset:
		h.withoutEffect(*e)
	}
	if s.Fate == event.Done {
		h.done(e.Record)
	}
	h.forget(s)
	h.stays(s)
}

// stays takes in that an override was read back as one that no boot uses up: the one that
// is set, or one that was taken away and is there all the same.
func (h *History) stays(s event.Settled) {
	switch {
	case !s.Stays:
		return
	case h.boot.Target == "" && h.taken.Change == s.Change:
		h.boot = h.taken
	case h.boot.Change != s.Change:
		return
	}
	h.boot.Stays, h.continuous = true, true
}

// takeBack restores what a change that was refused would have changed.
func (h *History) takeBack(e entry) {
	switch e.Change.Verb {
	case event.Insert:
		if m, ok := e.before.media[e.Change.Target]; ok {
			h.setMount(e.Change.Target, m)
			return
		}
		h.dropMounts(func(m Mount) bool { return m.Change == e.Change.ID })
	case event.SetBoot:
		h.boot = e.before.boot
	case event.Reset:
		h.reset, h.off, h.boot = e.before.reset, e.before.off, e.before.boot
	}
}

// withoutEffect takes in that a reset showed no effect. A start may have one late, which
// keeps its reset open.
func (h *History) withoutEffect(e entry) {
	h.off, h.boot = e.before.off, e.before.boot
	if e.Change.Starts() && h.reset != nil {
		late := *h.reset
		late.Fate = event.Unknown
		h.reset = &late
	}
}

// forget ends what is undone.
func (h *History) forget(s event.Settled) {
	if s.Fate != event.Undone {
		return
	}
	h.dropMounts(func(m Mount) bool { return m.Change == s.Change })
	if h.boot.Change == s.Change {
		h.boot = Override{}
	}
}

// conclude closes the last reset when a verdict ends the installation, or when the wait
// for its end failed. A proof that comes after that is remembered, too.
func (h *History) conclude(r Record) {
	if h.reset == nil {
		return
	}
	v, closed := *r.Verdict, *h.reset
	if v.Proven && !r.Failed {
		closed.ProvenAt = r.Time
	}
	if closed.Open && (v.Proven || v.Ended || v.Seeks && r.Failed) {
		closed.Open, closed.Proven = false, v.Proven
	}
	h.reset = &closed
}

// Mounted are the images that we put into drives and did not take out, by drive.
func (h History) Mounted() []Mount {
	var out []Mount
	for _, drive := range slices.Sorted(maps.Keys(h.media)) {
		out = append(out, h.media[drive])
	}
	return out
}

// Holds finds the image with a URL among those that we mounted.
func (h History) Holds(url string) (Mount, bool) {
	for _, m := range h.Mounted() {
		if m.URL == url {
			return m, true
		}
	}
	return Mount{}, false
}

// MountIn finds our mount that a drive holds.
func (h History) MountIn(s bmc.Slot) (Mount, bool) {
	for _, m := range h.Mounted() {
		if m.In(s) {
			return m, true
		}
	}
	return Mount{}, false
}

// Meant is the image that a boot is meant to read: of those that we mounted the one that
// the plan would mount now, else the first.
func (h History) Meant(p Place) (Mount, bool) {
	if m, ok := h.Holds(p.Medium); ok {
		return m, true
	}
	mounts := h.Mounted()
	if len(mounts) == 0 {
		return Mount{}, false
	}
	return mounts[0], true
}

// BootSet is the boot source that we set and no boot has used up.
func (h History) BootSet() (Override, bool) {
	return h.boot, h.boot.Target != ""
}

// Taken is our boot source override that was taken away last.
func (h History) Taken() (Override, bool) { return h.taken, h.taken.Target != "" }

// Debt is our override that no boot uses up and that would start an installer
// again and again: it has to be taken away.
func (h History) Debt() bool {
	o, set := h.BootSet()
	return set && o.Stays && o.Target != string(bmc.BootDisk)
}

// OnlyContinuous reports that the machine's service was seen to know only overrides
// that no boot uses up.
func (h History) OnlyContinuous() bool { return h.continuous }

// LastReset is the last boot that we asked for.
func (h History) LastReset() (LastReset, bool) {
	if h.reset == nil {
		return LastReset{}, false
	}
	return *h.reset, true
}

// Installing is the last reset while its installation is neither proven nor timed out.
func (h History) Installing() (LastReset, bool) {
	last, ok := h.LastReset()
	return last, ok && last.Open
}

// Left tells what would stay behind if nothing more was done.
func (h History) Left() (out event.Left) {
	if last, open := h.Installing(); open {
		out.Installing = last.Time
	}
	for _, m := range h.Mounted() {
		out.Mounted = append(out.Mounted, m.URL)
	}
	if o, set := h.BootSet(); set && !o.Stays {
		out.Boots = o.Target
	}
	out.Off = h.off != nil && h.off.Boots
	return out
}

// OpenRuns are the runs that left something open at the machine: an installation that is
// neither proven nor timed out, an image in a drive, a boot source that is set, or the
// machine off for its restart. A run may be named several times.
func (h *History) OpenRuns() (runs []string) {
	if last, open := h.Installing(); open {
		runs = append(runs, last.Run)
	}
	if o, set := h.BootSet(); set {
		runs = append(runs, runOf(o.Change))
	}
	if h.off != nil {
		runs = append(runs, runOf(h.off.ID))
	}
	for _, m := range h.Mounted() {
		runs = append(runs, runOf(m.Change))
	}
	return runs
}

// runOf is the run of a change, by its ID.
func runOf(change string) string {
	at := strings.LastIndexByte(change, '.')
	return change[:max(at, 0)]
}

// Made are the changes of one step in the run under way, oldest first.
func (h History) Made(step string) (out []Made) {
	for _, m := range h.made {
		if m.Step == step {
			out = append(out, m)
		}
	}
	return out
}

// PreparedSince reports that the run under way mounted an image, or set what the machine
// boots next, after one of its changes.
func (h History) PreparedSince(change string) bool {
	at := slices.IndexFunc(h.made, func(m Made) bool { return m.ID == change })
	return at >= 0 && slices.ContainsFunc(h.made[at+1:], func(m Made) bool {
		boots := m.Verb == event.SetBoot && m.New != string(bmc.BootNone) && m.New != string(bmc.BootDisk)
		return m.Took() && (boots || m.Verb == event.Insert)
	})
}

// Took reports whether one of our changes took place, as far as is known: it was not
// refused, and is not undone.
func (m Made) Took() bool { return m.Fate != event.Refused && m.Fate != event.Undone && !m.Found }

// Effective are the changes that took place, each once: what was refused in one form
// and made in another is one change.
func Effective(made []Made) (out []Made) {
	for _, m := range made {
		last := len(out) - 1
		again := m.Repeat && last >= 0 && out[last].Verb == m.Verb
		if m.Took() && !again {
			out = append(out, m)
		}
	}
	return out
}

// Copy is the history as it is now.
func (h *History) Copy() History {
	c := *h
	c.made, c.recent = slices.Clip(h.made), nil
	return c
}
