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

// installed looks once whether the new ESXi is there. That an API answers is no
// proof: it may be the old one, before or after the reset.
func installed(ctx context.Context, h *step.Host, c Arguments, r *Result) error {
	if h.ESXi == nil {
		return fmt.Errorf("the plan gives no esxi block for this host, so there is nothing to wait for")
	}
	l := &looking{watch: watch{h: h, c: c}, r: r}
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
	l.see(ctx)
	if reason := l.notNew(probe); reason != "" {
		return l.notYet(ctx, reason)
	}
	return l.prove(ctx, probe)
}

// looking is one look at a host that should be new.
type looking struct {
	watch
	r         *Result
	media     media.Published
	published bool
}

// notYet is a look that proves nothing: it says why, and does what cannot wait.
func (l *looking) notYet(ctx context.Context, reason string) error {
	l.r.Reason = reason + l.told()
	return l.act(ctx, l.r)
}

// notNew says why what answers cannot be the new system, without any login.
func (l *looking) notNew(p esxi.Probe) string {
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

// prove logs in to the system that shows a new certificate and compares all that
// tells a new installation on this machine from anything else.
func (l *looking) prove(ctx context.Context, p esxi.Probe) error {
	system, err := l.h.ESXi.Inspect(ctx, esxi.Root, p.Fingerprint)
	var login *esxi.ErrLogin
	switch {
	case errors.Is(err, esxi.ErrShadow): // a dry run: what follows the proof is planned, too
		l.r.Reason = err.Error()
		return l.tidy(ctx)
	case errors.As(err, &login) && login.Final:
		return &step.Refusal{Guard: "proof", Reason: "unproven: " + err.Error(), Next: "The system on that address does not have the password of the plan's kickstart"}
	case err != nil:
		return l.notYet(ctx, "the new ESXi does not let us in yet: "+err.Error())
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
		return l.notYet(ctx, "neither UUID nor serial number tell whether the ESXi runs on this machine")
	}
	if reason := l.tooOld(system); reason != "" {
		return l.notYet(ctx, reason)
	}
	l.accept(p, system, id)
	return l.tidy(ctx)
}

// tooOld says why the system is not one that was installed and booted after our
// reset (or, where none is on record, after the image was built), by the host's own
// clock, which must make sense.
func (l *looking) tooOld(s esxi.System) string {
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

func (l *looking) accept(p esxi.Probe, s esxi.System, id bmc.Identity) {
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
	if l.reset && l.known && l.since.Bytes > 0 {
		say("%s read %.1f MB of the image after the reset, from %s to %s", l.h.Reader(l.since.By), float64(l.since.Bytes)/1e6, l.since.First.Local().Format("15:04:05"), l.since.Last.Local().Format("15:04:05"))
	}
}

// tidy ends what the installation needed: an override that no boot uses up, our image
// in the drive, and the published image.
func (l *looking) tidy(ctx context.Context) error {
	boot, err := l.h.BMC.Boot(ctx)
	if err != nil {
		return err
	}
	if step.Loops(boot) {
		if err := step.ClearBoot(ctx, l.h.BMC); err != nil {
			return fmt.Errorf("the host is installed, but its boot source override stays: %w", err)
		}
	}
	if !l.c.Eject {
		return nil
	}
	if err := l.empty(ctx); err != nil {
		return err
	}
	if l.h.Media == nil || l.h.Settings.KeepMedia {
		return nil
	}
	return l.h.Media.Remove(ctx, l.h.Name)
}

// empty takes our image out of the drive. What may pass is tried again at the next look;
// a BMC that will not is no failure of a host that is installed.
func (l *looking) empty(ctx context.Context) error {
	err := eject(ctx, l.h)
	if err == nil || step.Classify(err) != step.Final || ctx.Err() != nil {
		return err
	}
	l.h.Warn("the host is installed, but its medium stays in the drive; eject it (esxiplan do eject): %v", err)
	return nil
}
