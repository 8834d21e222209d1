package step

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/descriptor"
	"esxiplan/engine/esxi"
	"esxiplan/engine/event"
	"esxiplan/engine/media"
	"esxiplan/engine/text"
	"esxiplan/schema"
)

// Attempt is what the engine gives to one attempt of a step.
type Attempt interface {
	Run() string  // id of the run
	Step() string // name of the step
	Place() Place
	// Record makes a change durable before it is made, and returns the ID by which it is
	// settled. Where ctx has ended, nothing is recorded, so that nothing is made.
	Record(context.Context, event.Change) (id string, err error)
	// Settle notes what came of a change.
	Settle(event.Settled)
	Progress(done, total int64, what string)
	Warn(text string)
	// Phase notes that the installation came into another phase, and adds how long others took
	// from there.
	Phase(event.Entered)
	// Last reports that no look after this attempt's is likely to come to its end before the
	// step gives up.
	Last() bool
	// KeepScreen keeps what a machine's screen shows, a PNG image, and returns the name of the
	// file; "" where nothing is kept.
	KeepScreen(png []byte) (file string, err error)
	// Sleep waits, and lets other hosts work meanwhile.
	Sleep(context.Context, time.Duration) error
	Now() time.Time
	History() History
}

// Place is what a step must know of the plan around it.
type Place struct {
	// Medium is the URL of the image that the steps before mount, "" where none does or
	// where that is not known yet.
	Medium string `json:"medium,omitempty"`
	// BootsMedium: what the steps before mount or set is to be booted by this step.
	BootsMedium bool `json:"boots_medium,omitempty"`
	// Stale is why the plan has no such image as it now is, "" where it has one or where
	// that is not known.
	Stale string `json:"stale,omitempty"`
	// Restarts and Waits tell what comes after this step in this run: a start of the
	// machine, and (after that, where there is one) a wait for the end of an installation.
	Restarts bool `json:"restarts,omitempty"`
	Waits    bool `json:"waits,omitempty"`
	// Sets: a step after this one, in this run, sets a boot source.
	Sets bool `json:"sets,omitempty"`
	// Join names the plan's steps that set a boot source, restart and wait, with their tags,
	// where not all of them are in this run.
	Join string `json:"join,omitempty"`
}

// Settings are a run's answers to the guards.
type Settings struct {
	Again        bool // reset although the last reset is still open
	DryRun       bool
	KeepMedia    bool // leave the image where it is after the proof
	Consent      Consent
	Approved     *Approved // what a saved plan allows; nil: the run applies none
	Installs     bool      // the plan mounts media for this host: a reset can start an installer
	Medium       string    // URL of the image that the plan mounts, "" where it is not known before the run
	FirstBoot    bool      // the plan builds a medium with parts for the first boot, as far as that is known before the run
	StopsServing bool      // the images of this run end with it, and it waits for no installation
	WaitStep     string    // name of the plan's step that waits for the end of an installation, "" where no step does
}

// Consent is what somebody agreed to for a host, or what cannot harm: nothing real is there.
type Consent struct {
	Stop  bool // what runs on the machine may be stopped
	Wipe  bool // it may be restarted into an installer
	Shown *Shown
	// Barred is why nothing may be written to the host at all, "" where it may: who agreed was
	// shown that it is refused, or that it could not be looked at.
	Barred string
}

// Shown are the disks that were shown to who agreed that a machine may be wiped; nil: who
// agreed was not asked.
type Shown struct{ Disks []event.Disk }

// Host is what a step may touch.
type Host struct {
	Name     string
	Plan     string
	Declared *schema.Host
	BMC      *BMC        // behind the guards
	ESXi     esxi.Client // nil where the plan declares no ESXi
	Media    *Media      // behind its guard; nil where the plan has no media block
	Settings Settings

	// Neighbours are the addresses on this computer's own networks, as far as it has talked to
	// them; nil: not known.
	Neighbours func() []esxi.Neighbour

	attempt   Attempt
	machine   *event.Machine // as it was before our first change; nil: it was not looked at
	introduce bool           // the next change that is recorded tells of the machine

	reported progress
	entered  string                    // change of the reset of which a phase was noted
	screen   struct{ of, file string } // of the reset with that change
	seen     Sight
	unseen   error  // of that look
	sights   series // looks through the BMC that showed something
	watched  series // looks of waits at the installation
}

// NewHost makes a host without doors.
func NewHost(plan string, declared *schema.Host, s Settings) *Host {
	return &Host{Name: declared.Name, Plan: plan, Declared: declared, Settings: s}
}

// SetBMC gives the host its BMC, behind the guards.
func (h *Host) SetBMC(c bmc.Client) { h.BMC = &BMC{Reader: c, client: c, host: h} }

// Begin starts an attempt; a host has one at a time.
func (h *Host) Begin(a Attempt) { h.attempt = a }

// Close ends the sessions of all doors, after what we owe the machine: an override that
// no boot uses up is taken away.
func (h *Host) Close(ctx context.Context) error {
	var err error
	if h.BMC != nil {
		err = errors.Join(h.clearDebt(ctx), h.BMC.client.Close(ctx))
	}
	if h.ESXi != nil {
		h.ESXi.Close()
	}
	return err
}

// Undone notes that what one of our changes set is not so any more, though we did not
// undo it: somebody else did, or it never came about.
func (h *Host) Undone(change string) {
	h.attempt.Settle(event.Settled{Change: change, Fate: event.Undone})
}

// Confirm notes that one of our changes which was answered by a refusal, or not at all, took
// place all the same.
func (h *Host) Confirm(change string) {
	h.attempt.Settle(event.Settled{Change: change, Fate: event.Done})
}

// FoundStarted records a start of the machine that somebody else asked for while a restart
// of ours was under way: it boots what we had set, and counts as our reset.
func (h *Host) FoundStarted(ctx context.Context, i event.Intent) error {
	c := event.Change{Door: event.DoorBMC, Verb: event.Reset, Target: "power", Old: string(bmc.Off), New: string(bmc.ResetOn), Found: true, Intent: i}
	c.Risk = riskOf(c)
	id, err := h.attempt.Record(ctx, c)
	if err == nil {
		h.attempt.Settle(event.Settled{Change: id, Fate: event.Done})
	}
	return err
}

// record makes a change durable before it is made, where it may be made: every write of every
// door passes here.
func (h *Host) record(ctx context.Context, c event.Change) (id string, err error) {
	if err := CheckApproved(h.Settings.Approved, h.StepName(), c, h.Holds); err != nil {
		return "", err
	}
	return h.attempt.Record(ctx, h.introduced(c))
}

// StepName is the name of the present step.
func (h *Host) StepName() string { return h.attempt.Step() }

// Place is what the present step must know of the plan around it.
func (h *Host) Place() Place { return h.attempt.Place() }

// Progress tells how far something long has come, if it has come further; total 0
// is unknown.
func (h *Host) Progress(done, total int64, what string) {
	if now := (progress{done, total, what}); now != h.reported {
		h.reported = now
		h.attempt.Progress(done, total, what)
	}
}

// Enter notes that the installation of the last reset was seen in a phase, unless it had come
// as far before. The evidence says in one short sentence what was seen. Where another process saw
// it come as far, that is repeated once: who watches this one knows nothing of the other.
func (h *Host) Enter(p event.Phase, evidence string) {
	last, ok := h.History().LastReset()
	if !ok || h.Settings.DryRun {
		return
	}
	e := event.Entered{Phase: p, Evidence: evidence}
	if !p.After(last.Phase()) {
		if e = last.latest(); h.entered == last.Change || e.Phase == event.PhaseProven && p != e.Phase {
			return
		}
	}
	h.entered = last.Change
	e.Reset, e.Model, e.Watched = last.Time, cmp.Or(h.BMC.model, h.History().Model()), h.watched.since
	h.attempt.Phase(e)
}

// Last reports that the step will hardly look again before it gives up.
func (h *Host) Last() bool { return h.attempt.Last() }

// LastScreen keeps what the machine's screen shows, once for a reset, and returns the name of
// the file; "" where its BMC does not offer that, or it could not be kept.
func (h *Host) LastScreen(ctx context.Context) string {
	last, ok := h.History().LastReset()
	if !ok || h.Settings.DryRun || h.screen.of == last.Change {
		return h.screen.file
	}
	h.screen.of, h.screen.file = last.Change, ""
	png, err := h.BMC.Screen(ctx)
	if err == nil {
		h.screen.file, err = h.attempt.KeepScreen(png)
	}
	var unsupported *bmc.ErrUnsupported
	if err != nil && !errors.As(err, &unsupported) {
		h.Warn("what the machine's screen shows could not be kept: %v", err)
	}
	return h.screen.file
}

type progress struct {
	done, total int64
	what        string
}

// Reads tells what was read of the host's image, as progress, too; known is false where
// none of our servers serves it.
func (h *Host) Reads() (reads media.Reads, known bool) {
	if h.Media == nil {
		return media.Reads{}, false
	}
	reads, known = h.Media.Reads(h.Name)
	if known && reads.Bytes > 0 {
		latest, _ := h.Media.Latest(h.Name)
		h.Progress(reads.Bytes, latest.Size, "bytes of the image read")
	}
	return reads, known
}

// fetchTakes is how long a BMC may take that fetches the whole image at once.
const fetchTakes = 12 * time.Minute

// FetchEnds waits for a BMC that fetches the whole of the host's image. What it returns is
// the fetch that has not come to its end. What a server notes is a moment old: a fetch may
// look unfinished although the BMC has said that the image is mounted.
func (h *Host) FetchEnds(ctx context.Context) (open *media.Fetch, err error) {
	err = h.Until(ctx, fetchTakes, "the BMC has fetched the image", func(context.Context) (bool, error) {
		reads, known := h.Reads()
		if known {
			open = reads.Fetching
		}
		return !known || open == nil, nil
	})
	return open, err
}

// Reader names who read an image: "the BMC", or an address.
func (h *Host) Reader(address string) string {
	if address == h.Declared.BMC.Address.Host() {
		return "the BMC"
	}
	return address
}

// Warn tells of something that is no failure.
func (h *Host) Warn(format string, values ...any) { h.attempt.Warn(fmt.Sprintf(format, values...)) }

// Now is the time by the run's clock.
func (h *Host) Now() time.Time { return h.attempt.Now() }

// History is what this and earlier runs did to the host.
func (h *Host) History() History { return h.attempt.History() }

// Made are the changes of the present step in this run, attempts before this one
// included, that took place as far as is known.
func (h *Host) Made() (out []Made) {
	for _, m := range h.attempt.History().Made(h.attempt.Step()) {
		if m.Took() {
			out = append(out, m)
		}
	}
	return out
}

// Until calls ok until it says true, ever more slowly, at most for the given
// time. Other hosts may work while it sleeps. In a dry run nothing settles with
// time, so one look is enough.
func (h *Host) Until(ctx context.Context, limit time.Duration, what string, ok func(context.Context) (bool, error)) error {
	began, looked := h.Now(), false
	for pause := 500 * time.Millisecond; ; pause = min(pause*3/2, 5*time.Second) {
		done, err := ok(ctx)
		if err == nil && !done && h.Now().After(began.Add(limit)) {
			return &Unsettled{What: what, After: limit}
		}
		if err == nil && (done || h.Settings.DryRun) {
			return nil
		}
		looked = looked || err == nil
		if err == nil {
			err = h.attempt.Sleep(ctx, pause)
		}
		if looked && errors.Is(ctx.Err(), context.DeadlineExceeded) && Interrupted(err) { // the step's own time
			return &Unsettled{What: what, After: h.Now().Sub(began)}
		}
		if err != nil {
			return err
		}
		if h.BMC != nil {
			h.BMC.Refresh(0)
		}
	}
}

// Sleep waits by the run's clock, and lets other hosts work meanwhile.
func (h *Host) Sleep(ctx context.Context, d time.Duration) error { return h.attempt.Sleep(ctx, d) }

// Unsettled is a wait that ended without what it waited for. It may be retried.
type Unsettled struct {
	What  string
	After time.Duration
}

func (e *Unsettled) Error() string {
	return fmt.Sprintf("timed out after %s waiting until %s", text.Duration(e.After), e.What)
}

// Retryable makes the engine try again.
func (e *Unsettled) Retryable() bool { return true }

// Failure is a final error that says what to do next.
type Failure struct {
	Reason string
	Next   string
}

func (e *Failure) Error() string { return e.Reason + ". " + e.Next }

// Class is what the engine makes of an error.
type Class int

// Final errors end the step at once; Retryable ones may pass; Unreachable ones are
// retryable and counted apart.
const (
	Final Class = iota
	Retryable
	Unreachable
)

// Apart takes an error apart that says what to do: what happened, and what to do about it,
// without a period; next is "" where nothing tells.
func Apart(err error) (what, next string) {
	var advised interface {
		error
		Apart() (what, next string)
	}
	what = err.Error()
	if errors.As(err, &advised) {
		inner, advice := advised.Apart()
		if advice != "" {
			return strings.Replace(what, advised.Error(), inner, 1), advice
		}
	}
	return what, strings.TrimSuffix(NextOf(err), ".")
}

// NextOf is what to do about an error of a connection, or of a BMC that shows no change, which
// does not say so itself; "" for others.
func NextOf(err error) string {
	var late *Unsettled
	switch {
	case errors.As(err, &late):
		return "Look in the BMC's web page how it stands. A BMC that answers with success and never changes may be one that only shows a machine, such as a mockup server."
	case descriptor.Exhausted(err):
		return "It is this machine that has no file descriptor left, not the server: " + descriptor.Advice + ", or lower --forks or --in-flight."
	case Classify(err) == Unreachable:
		return "Check that the address is right, that the BMC is up, and that this machine may reach it."
	}
	return ""
}

// AnswerOf is what a BMC answered, where that is why something was not done; nil for others.
func AnswerOf(err error) *event.Answer {
	var answered interface {
		Answer() (request string, status int, body string, ok bool)
	}
	if !errors.As(err, &answered) {
		return nil
	}
	request, status, body, ok := answered.Answer()
	if !ok {
		return nil
	}
	return &event.Answer{Request: request, Status: status, Body: body}
}

// Interrupted reports an error that only says that something was cut short, or that
// no one answered meanwhile: after an interrupt it tells nothing.
func Interrupted(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || Classify(err) == Unreachable
}

// Classify judges an error by what its type says of itself. One that comes from a lack of
// descriptors is of this machine, and passes when others are closed.
func Classify(err error) Class {
	if descriptor.Exhausted(err) {
		return Retryable
	}
	var unreachable interface{ Unreachable() bool }
	if errors.As(err, &unreachable) && unreachable.Unreachable() {
		return Unreachable
	}
	var retryable interface{ Retryable() bool }
	if errors.As(err, &retryable) && retryable.Retryable() {
		return Retryable
	}
	var network net.Error
	if errors.As(err, &network) && network.Timeout() {
		return Retryable
	}
	return Final
}
