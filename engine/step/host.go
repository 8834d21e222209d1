package step

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/esxi"
	"esxiplan/engine/media"
	"esxiplan/schema"
)

// Risk labels a write for people.
type Risk string

// What a write may do at worst.
const (
	Mounts  Risk = "mounts"
	Reboots Risk = "reboots"
	Wipes   Risk = "wipes"
)

// Write is a change of the world, recorded before it is made.
type Write struct {
	Door    string    `json:"door"` // bmc, media
	Action  string    `json:"action"`
	Target  string    `json:"target"`
	Old     string    `json:"old"`
	New     string    `json:"new"`
	Request string    `json:"request,omitempty"`
	Risk    Risk      `json:"risk,omitempty"`
	Repeat  bool      `json:"repeat,omitempty"`  // the same write in another form
	Boots   bool      `json:"boots,omitempty"`   // part of a restart
	Refused bool      `json:"refused,omitempty"` // the write recorded before this one was answered by a refusal: it did not happen
	Found   bool      `json:"found,omitempty"`   // no write of ours: the machine was found to be so already
	Detail  string    `json:"detail,omitempty"`  // in a dry run: the kickstart
	Before  *Snapshot `json:"before,omitempty"`  // of a reset: what answered on the ESXi address
}

func (w Write) String() string {
	old, now := w.Old, w.New
	if old == "" {
		old = "empty"
	}
	if now == "" {
		now = "empty"
	}
	return fmt.Sprintf("%s %s: %s → %s", w.Action, w.Target, old, now)
}

// Snapshot is what an ESXi address showed before a reset; a later look is
// compared with it.
type Snapshot struct {
	State       esxi.State `json:"state"`
	Fingerprint string     `json:"fingerprint,omitempty"`
	Build       string     `json:"build,omitempty"`
	Installed   time.Time  `json:"installed,omitzero"`
	MediaRead   int64      `json:"media_read,omitempty"` // bytes of the host's image read before the reset
}

// LastReset is what the journals know of the last reset of a host by us.
type LastReset struct {
	Run, Step string
	Time      time.Time
	Before    Snapshot
	Open      bool // neither proven nor timed out
}

// History is what this and earlier runs did to a host.
type History interface {
	// Inserted is the image that we put into a drive and did not take out since.
	Inserted() (url string, ok bool)
	// BootSet is the boot source that we set and no reset has used up.
	BootSet() (target string, ok bool)
	LastReset() (LastReset, bool)
	// Written are the writes of one step in this run.
	Written(step string) []Write
}

// Attempt is what the engine gives to one attempt of a step.
type Attempt interface {
	Run() string  // id of the run
	Step() string // name of the step
	// Record makes a write durable before it is made.
	Record(context.Context, Write) error
	Progress(done, total int64, what string)
	Warn(text string)
	// Sleep waits, and lets other hosts work meanwhile.
	Sleep(context.Context, time.Duration) error
	Now() time.Time
	History() History
}

// Settings are a run's answers to the guards.
type Settings struct {
	Again     bool // reset although the last reset is still open
	DryRun    bool
	KeepMedia bool // leave the image where it is after the proof
	Consent   bool // somebody said yes to wiping this host, or nothing real can be wiped
	Installs  bool // the plan mounts media for this host: a reset can start an installer
	// BootsInstaller are the steps whose restart is to boot what earlier steps mount.
	BootsInstaller map[string]bool
	WaitFollows    bool // a wait comes after, so an override that cannot clear itself will be cleared
}

// Host is what a step may touch.
type Host struct {
	Name     string
	Plan     string
	Declared *schema.Host
	BMC      bmc.Client
	ESXi     esxi.Client // nil where the plan declares no ESXi
	Media    media.Store // nil where the plan has no media block
	Settings Settings

	attempt  Attempt
	verified bool
	told     progress
}

// NewHost makes a host without doors.
func NewHost(plan string, declared *schema.Host, s Settings) *Host {
	return &Host{Name: declared.Name, Plan: plan, Declared: declared, Settings: s}
}

// SetBMC gives the host its BMC, behind the guards.
func (h *Host) SetBMC(c bmc.Client) { h.BMC = &guarded{Client: c, host: h} }

// Begin starts an attempt; a host has one at a time.
func (h *Host) Begin(a Attempt) { h.attempt = a }

// Close ends the sessions of all doors, after what the run owes the machine: an
// override that does not clear itself.
func (h *Host) Close(ctx context.Context) error {
	var err error
	if h.BMC != nil {
		if g, ok := h.BMC.(*guarded); ok {
			err = g.payDebt(ctx)
		}
		err = errors.Join(err, h.BMC.Close(ctx))
	}
	if h.ESXi != nil {
		h.ESXi.Close()
	}
	return err
}

// RecordBMC records a write of the BMC door. It is what the door is opened with.
func (h *Host) RecordBMC(ctx context.Context, w bmc.Write) error {
	out := Write{Door: "bmc", Action: w.Action, Target: w.Target, Old: w.Old, New: w.New, Request: w.Request, Repeat: w.Repeat}
	switch w.Action {
	case "insert":
		out.Risk = Mounts
	case "reset":
		out.Risk = Reboots
		if g, ok := h.BMC.(*guarded); ok {
			out.Boots, out.Before = g.booting, g.before
			if g.installing {
				out.Risk = Wipes
			}
		}
	}
	return h.attempt.Record(ctx, out)
}

// Found records that what we had set is no longer so, though we did not undo it: somebody
// else did, or it never came about. A later restart need not look for it any more.
func (h *Host) Found(ctx context.Context, action, target, old, now string) error {
	return h.attempt.Record(ctx, Write{Door: "bmc", Action: action, Target: target, Old: old, New: now, Found: true})
}

// RecordMedia records a write of the media door.
func (h *Host) RecordMedia(ctx context.Context, w media.Write) error {
	return h.attempt.Record(ctx, Write{Door: "media", Action: w.Action, Target: w.Target, Old: w.Old, New: w.New, Detail: w.Detail})
}

// Progress tells how far something long has come, if it has come further; total 0
// is unknown.
func (h *Host) Progress(done, total int64, what string) {
	if now := (progress{done, total, what}); now != h.told {
		h.told = now
		h.attempt.Progress(done, total, what)
	}
}

type progress struct {
	done, total int64
	what        string
}

// MediaRead tells how much of the host's image was read, as progress, too, and who
// read last: "the BMC", or an address. known is false where no server of ours serves it.
func (h *Host) MediaRead() (bytes int64, by string, known bool) {
	if h.Media == nil {
		return 0, "", false
	}
	reads, known := h.Media.Reads(h.Name)
	if known && reads.Bytes > 0 {
		latest, _ := h.Media.Latest(h.Name)
		h.Progress(reads.Bytes, latest.Size, "bytes of the image read")
	}
	if by = reads.By; by == h.Declared.BMC.Address.Host() {
		by = "the BMC"
	}
	return reads.Bytes, by, known
}

// Warn tells of something that is no failure.
func (h *Host) Warn(format string, values ...any) { h.attempt.Warn(fmt.Sprintf(format, values...)) }

// Now is the time by the run's clock.
func (h *Host) Now() time.Time { return h.attempt.Now() }

// History is what this and earlier runs did to the host.
func (h *Host) History() History { return h.attempt.History() }

// Written are the writes of the present step in this run, attempts before this
// one included, without those that were answered by a refusal.
func (h *Host) Written() []Write {
	var out []Write
	for _, w := range h.attempt.History().Written(h.attempt.Step()) {
		switch {
		case w.Refused:
			out = out[:max(0, len(out)-1)]
		case !w.Found:
			out = append(out, w)
		}
	}
	return out
}

// Until calls ok until it says true, ever more slowly, at most for the given
// time. Other hosts may work while it sleeps. In a dry run nothing settles with
// time, so one look is enough.
func (h *Host) Until(ctx context.Context, limit time.Duration, what string, ok func(context.Context) (bool, error)) error {
	end := h.Now().Add(limit)
	for pause := 500 * time.Millisecond; ; pause = min(pause*3/2, 5*time.Second) {
		done, err := ok(ctx)
		if done || err != nil || h.Settings.DryRun {
			return err
		}
		if h.Now().After(end) {
			return &Unsettled{What: what, After: limit}
		}
		if err := h.attempt.Sleep(ctx, pause); err != nil {
			return err
		}
		if h.BMC != nil {
			h.BMC.Refresh()
		}
	}
}

// Sleep waits by the run's clock, and lets other hosts work meanwhile.
func (h *Host) Sleep(ctx context.Context, d time.Duration) error { return h.attempt.Sleep(ctx, d) }

// Emptied waits until a virtual media slot reads empty: some BMCs go on showing an
// image for a while after they ejected it.
func (h *Host) Emptied(ctx context.Context, s bmc.Slot) error {
	return h.Until(ctx, 45*time.Second, s.Name()+" reads empty", func(ctx context.Context) (bool, error) {
		now, err := h.BMC.Slot(ctx, s)
		return !now.Loaded, err
	})
}

// Unsettled is a wait that ended without what it waited for. It may be retried.
type Unsettled struct {
	What  string
	After time.Duration
}

func (e *Unsettled) Error() string {
	return fmt.Sprintf("after %s still not so: %s", e.After, e.What)
}

// Retryable makes the engine try again.
func (e *Unsettled) Retryable() bool { return true }

// Class is what the engine makes of an error.
type Class int

// Final errors end the step at once; Retryable ones may pass; Unreachable ones are
// retryable and counted apart.
const (
	Final Class = iota
	Retryable
	Unreachable
)

// Classify judges an error by what its type says of itself.
func Classify(err error) Class {
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
