package wait

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/esxi"
	"esxiplan/engine/media"
	"esxiplan/engine/step"
)

// clockSlack is how far the install date may lie before the reset by a clock
// that is read twice, in whole seconds.
const clockSlack = 2 * time.Minute

// quiet is how long after a reset an image that nobody read is worth a word: by
// then every machine has been through POST.
const quiet = 10 * time.Minute

// installed looks once whether the new ESXi is there. That an API answers is no
// proof: it may be the old one, before or after the reset.
func installed(ctx context.Context, h *step.Host, r *Result) error {
	if h.ESXi == nil {
		return fmt.Errorf("the plan gives no esxi block for this host, so there is nothing to wait for")
	}
	l := &look{h: h, r: r}
	l.last, l.reset = h.History().LastReset()
	if h.Media != nil {
		l.media, l.published = h.Media.Latest(h.Name)
	}
	if !l.reset && !l.published {
		return &step.Refusal{Guard: "proof", Reason: "no reset of this machine by us is on record, and no image was built for it, so no installation could be told from the old one",
			Next: "Run the whole plan, or use the state folder (--state) of the run that reset it"}
	}
	probe, err := h.ESXi.Probe(ctx)
	if err != nil {
		return err
	}
	r.Fingerprint, r.Version, r.Build = probe.Fingerprint, probe.Version, probe.Build
	if reason := l.notNew(probe); reason != "" {
		r.Reason = reason + l.readingHint()
		return nil
	}
	return l.prove(ctx, probe)
}

// look is one look at a host that should be new.
type look struct {
	h         *step.Host
	r         *Result
	last      step.LastReset
	reset     bool
	media     media.Published
	published bool
}

// notNew says why what answers cannot be the new system, without any login.
func (l *look) notNew(p esxi.Probe) string {
	address := l.h.Declared.ESXi.Address
	switch {
	case p.State == esxi.Silent:
		return "no ESXi answers on " + address + " (" + p.Reason + ")"
	case p.State == esxi.Starting:
		return "the ESXi on " + address + " is starting: " + p.Reason
	case p.State == esxi.Other:
		return "something else answers on " + address + ": " + p.Reason
	case l.reset && l.last.Before.Fingerprint != "" && p.Fingerprint == l.last.Before.Fingerprint:
		return "the old ESXi still answers on " + address + ": it shows the same certificate as before the reset"
	case l.published && l.media.Build != "" && p.Build != l.media.Build:
		return fmt.Sprintf("the ESXi on %s has build %s, the image has %s: the machine did not boot the image", address, p.Build, l.media.Build)
	}
	return ""
}

// readingHint says what the reads of the image tell, where this run serves it.
func (l *look) readingHint() string {
	if l.h.Media == nil || !l.reset {
		return ""
	}
	read, by, known := l.readSinceReset()
	since := l.h.Now().Sub(l.last.Time)
	switch {
	case known && read == 0 && since > quiet:
		l.r.Next = "The machine booted something else: look at its boot order and at the BMC's boot override, then mount and restart again"
		return fmt.Sprintf("; the image was never read in the %s since the reset", since.Round(time.Second))
	case known && read > 0:
		return fmt.Sprintf("; %s read %.1f MB of the image since the reset", by, float64(read)/1e6)
	}
	return ""
}

// prove logs in to the system that shows a new certificate and compares all that
// tells a new installation on this machine from anything else.
func (l *look) prove(ctx context.Context, p esxi.Probe) error {
	system, err := l.h.ESXi.Inspect(ctx, esxi.Root, p.Fingerprint)
	var login *esxi.ErrLogin
	switch {
	case errors.Is(err, esxi.ErrShadow):
		l.r.Reason = err.Error()
		return nil
	case errors.As(err, &login) && login.Final:
		return &step.Refusal{Guard: "proof", Reason: "unproven: " + err.Error(), Next: "The system on that address does not have the password of the plan's kickstart"}
	case err != nil:
		l.r.Reason = "the new ESXi does not let us in yet: " + err.Error()
		return nil
	}
	id, err := l.h.BMC.Identity(ctx)
	if err != nil {
		return err
	}
	if same, known := step.SameMachine(system, id); !same {
		if known {
			return &step.Refusal{Guard: "proof", Reason: fmt.Sprintf("the ESXi on %s runs on another machine (UUID %s, serial %s), not on this one (%s, %s)", l.h.Declared.ESXi.Address, system.UUID, strings.Join(system.Serials, " "), id.UUID, id.Serial),
				Next: "Two machines have this address, or esxi.nic names the wrong port"}
		}
		l.r.Reason = "neither UUID nor serial number tell whether the ESXi runs on this machine"
		return nil
	}
	if reason := l.tooOld(system); reason != "" {
		l.r.Reason = reason + l.readingHint()
		return nil
	}
	l.accept(p, system, id)
	return l.tidy(ctx)
}

// tooOld says why the system is not one that was installed and booted after our
// reset (or, where none is on record, after the image was built), by the host's own
// clock, which must make sense.
func (l *look) tooOld(s esxi.System) string {
	certificate := l.reset && l.last.Before.Fingerprint != ""
	since, what := l.media.Built, "the image was built"
	if l.reset {
		since, what = l.last.Time, "our reset"
	}
	elapsed := l.h.Now().Sub(since)
	switch {
	case l.published && l.reset && l.media.Built.After(l.last.Time):
		return "the image was built after the last reset, so nothing can have installed it: restart the machine"
	case s.Now.IsZero() || s.Installed.IsZero() && !certificate:
		return "this ESXi does not tell when it was installed, and no certificate is known from before the reset"
	case s.Booted.IsZero() && !certificate:
		return "this ESXi does not tell when it was booted, and no certificate is known from before the reset"
	case s.Installed.After(s.Now.Add(clockSlack)), s.Booted.After(s.Now.Add(clockSlack)):
		return fmt.Sprintf("the clock of the ESXi there (%s) lies before its own installation: nothing can be concluded from it", s.Now.UTC().Format("2006-01-02 15:04"))
	case l.reset && !l.last.Before.Installed.IsZero() && s.Installed.Equal(l.last.Before.Installed):
		return "the ESXi there was installed at the same moment as the one before the reset: it is the old one"
	case !s.Installed.IsZero() && s.Now.Sub(s.Installed) > elapsed+clockSlack:
		return fmt.Sprintf("the ESXi there was installed %s ago, before %s %s ago: it is the old one", s.Now.Sub(s.Installed).Round(time.Second), what, elapsed.Round(time.Second))
	case !s.Booted.IsZero() && s.Now.Sub(s.Booted) > elapsed+clockSlack:
		return fmt.Sprintf("the ESXi there was booted %s ago, before %s %s ago", s.Now.Sub(s.Booted).Round(time.Second), what, elapsed.Round(time.Second))
	}
	return ""
}

func (l *look) accept(p esxi.Probe, s esxi.System, id bmc.Identity) {
	say := func(format string, values ...any) {
		l.r.Evidence = append(l.r.Evidence, fmt.Sprintf(format, values...))
	}
	l.r.Version, l.r.Build, l.r.Proven, l.r.Reached = s.Version, s.Build, true, true
	if l.reset && l.last.Before.Fingerprint != "" {
		say("certificate %s… is new; before the reset it was %s…", p.Fingerprint[:12], l.last.Before.Fingerprint[:12])
	}
	if !s.Installed.IsZero() {
		what := "after the image was built"
		if l.reset {
			what = "after our reset"
		}
		say("installed %s by its own clock, %s", s.Installed.UTC().Format("2006-01-02 15:04:05"), what)
	}
	say("UUID or serial number agree with the BMC: %s", id.Serial)
	say("root has the password of the kickstart")
	if l.published && l.media.Build != "" {
		say("build %s is the image's", s.Build)
	}
	if read, by, known := l.readSinceReset(); known && read > 0 {
		say("%s read %.1f MB of the image after the reset", by, float64(read)/1e6)
	}
}

// readSinceReset is how much of the image was read after the reset: a BMC reads
// a little when it mounts an image, which says nothing about booting it.
func (l *look) readSinceReset() (read int64, by string, known bool) {
	read, by, known = l.h.MediaRead()
	read -= l.last.Before.MediaRead
	return read, by, known && read >= 0 // a count that began anew says nothing
}

// tidy ends what the installation needed: an override that does not clear
// itself, and the published image.
func (l *look) tidy(ctx context.Context) error {
	boot, err := l.h.BMC.Boot(ctx)
	if err != nil {
		return err
	}
	if step.Loops(boot) {
		if err := step.ClearBoot(ctx, l.h.BMC); err != nil {
			return fmt.Errorf("the host is installed, but its boot source override stays: %w", err)
		}
	}
	if l.h.Media == nil || l.h.Settings.KeepMedia {
		return nil
	}
	return l.h.Media.Remove(ctx, l.h.Name)
}
