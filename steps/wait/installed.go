package wait

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"esxiplan/engine/bmc"
	"esxiplan/engine/esxi"
	"esxiplan/engine/event"
	"esxiplan/engine/media"
	"esxiplan/engine/step"
	"esxiplan/engine/text"
)

// installed looks once whether the new ESXi is there. That an API answers is no
// proof: it may be the old one, before or after the reset.
func installed(ctx context.Context, h *step.Host, c Arguments, r *Result) error {
	if h.ESXi == nil {
		return fmt.Errorf("the plan gives no esxi block for this host, so there is nothing to wait for")
	}
	l := &looking{watch: watch{h: h, c: c}, r: r}
	l.last, l.reset = h.History().LastReset()
	l.media, l.published = image(h)
	if err := l.mayProve(); err != nil {
		return err
	}
	probe, err := h.ESXi.Probe(ctx)
	if err != nil {
		return err
	}
	r.Fingerprint, r.Version, r.Build = probe.Fingerprint, probe.Version, probe.Build
	l.old = l.certified() && probe.Fingerprint == l.last.Before.Fingerprint
	l.see(ctx)
	l.enter()
	if reason := l.setBack(); reason != "" {
		return l.notYet(ctx, reason)
	}
	if reason := l.notNew(probe); reason != "" {
		return l.notYet(ctx, l.because(probe, reason))
	}
	if l.certified() {
		h.Enter(event.PhaseAnswering, "an ESXi with a new certificate answers on "+h.Declared.ESXi.Address)
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

// mayProve refuses where no look could tell a new installation from the old one.
func (l *looking) mayProve() error {
	if !l.reset && !l.published {
		return &step.Refusal{Guard: "proof", Reason: "no reset of this machine by us is on record, and no image was built for it, so no installation could be distinguished from the old one",
			Next: "Run the whole plan, or use the state folder (--state) of the run that reset it"}
	}
	if l.published && l.media.DryRun {
		return &step.Refusal{Guard: "proof", Reason: "the medium only checks the machine and installs nothing (dry_run = true of build_iso), so no new ESXi will come",
			Next: `Wait for goal = "installer", then read on the machine's console what it found; or build the medium without dry_run`}
	}
	if !l.reset {
		return nil
	}
	return bootable(l.h, l.last)
}

// notYet is a look that proves nothing: it says why, and does what cannot wait.
func (l *looking) notYet(ctx context.Context, reason string) error {
	l.r.Reason = reason + l.seenSoFar()
	return l.act(ctx, l.r)
}

// unproven ends a wait in which no further look could prove more.
func unproven(reason, next string) error {
	return &step.Refusal{Guard: "proof", Reason: "unproven: " + reason, Next: next}
}

// certified reports that the certificate of what answered before the reset is known.
func (l *looking) certified() bool { return l.reset && l.last.Before.Fingerprint != "" }

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
	case p.Fingerprint == "": // the login could not be bound to it
		return "the ESXi on " + address + " shows no certificate, so it cannot be distinguished from the old one"
	case l.old:
		return "the old ESXi still answers on " + address + ": it shows the same certificate as before the reset"
	}
	return l.otherBuild(p.Build)
}

// otherBuild says why a build is not the image's.
func (l *looking) otherBuild(build string) string {
	address := l.h.Declared.ESXi.Address
	switch {
	case !l.published || l.media.Build == "" || build == l.media.Build:
		return ""
	case build == "":
		return fmt.Sprintf("the ESXi on %s does not report its build, the image has %s", address, l.media.Build)
	}
	return fmt.Sprintf("the ESXi on %s has build %s, the image has %s: the machine did not boot the image", address, build, l.media.Build)
}

// prove logs in to the system that shows a new certificate and compares all that
// tells a new installation on this machine from anything else.
func (l *looking) prove(ctx context.Context, p esxi.Probe) error {
	system, err := l.h.ESXi.Inspect(ctx, esxi.Root, p.Fingerprint)
	if err != nil {
		return l.noLogin(ctx, err)
	}
	id, err := l.h.BMC.Identity(ctx)
	if err != nil {
		return err
	}
	reason, err := l.otherMachine(system, id)
	if err != nil {
		return err
	}
	if reason == "" {
		reason = l.otherBuild(system.Build)
	}
	for _, doubt := range []func(esxi.System) string{l.undated, l.wrongClock, l.tooOld} {
		if reason == "" {
			reason = doubt(system)
		}
	}
	if reason != "" {
		return l.notYet(ctx, reason)
	}
	l.accept(p, system, id)
	return l.tidy(ctx)
}

// noLogin is what becomes of a login that was not accepted.
func (l *looking) noLogin(ctx context.Context, err error) error {
	var login *esxi.ErrLogin
	switch {
	case errors.Is(err, esxi.ErrShadow): // a dry run: what follows the proof is planned, too
		l.r.Reason = err.Error()
		return l.tidy(ctx)
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &login) && login.Final:
		return unproven(err.Error(), "If root has another password than the plan's kickstart, correct esxi.root_password; if somebody else's system answers there, install the machine again")
	case errors.Is(err, esxi.ErrNoLogin):
		return unproven(err.Error()+", so it cannot be compared with the plan", "Set esxi.root_password to the password of the kickstart")
	}
	return l.notYet(ctx, "the new ESXi does not accept the login yet: "+err.Error())
}

// otherMachine says why the system is not shown to run on this machine; that it runs on
// another one is an error.
func (l *looking) otherMachine(s esxi.System, id bmc.Identity) (reason string, err error) {
	address := l.h.Declared.ESXi.Address
	there, here := hardware(s.UUID, s.Serials...), hardware(id.UUID, id.Serial)
	same, known := step.SameMachine(s, id)
	switch {
	case same:
		return "", nil
	case known:
		return "", &step.Refusal{Guard: "proof", Reason: fmt.Sprintf("the ESXi on %s runs on another machine (%s), not on this one (%s)", address, there, here),
			Next: "Two machines have this address, or esxi.nic names the wrong port"}
	}
	l.r.Next = "Compare them by hand; where hardware tells neither, no installation can be proven"
	return fmt.Sprintf("cannot determine whether the ESXi on %s runs on this machine: it reports %s, and the BMC %s", address, there, here), nil
}

// hardware is UUID and serial numbers for people.
func hardware(uuid string, serials ...string) string {
	serial := strings.TrimSpace(strings.Join(serials, " "))
	for _, text := range []*string{&uuid, &serial} {
		if *text == "" {
			*text = "unknown"
		}
	}
	return "UUID " + uuid + ", serial " + serial
}

// accept notes that the host is proven, and by what.
func (l *looking) accept(p esxi.Probe, s esxi.System, id bmc.Identity) {
	say := func(format string, values ...any) {
		l.r.Evidence = append(l.r.Evidence, fmt.Sprintf(format, values...))
	}
	l.r.Version, l.r.Build, l.r.Proven, l.r.Reached = s.Version, s.Build, true, true
	if l.certified() {
		say("certificate %.12s… is new; before the reset it was %.12s…", p.Fingerprint, l.last.Before.Fingerprint)
	}
	say("%s", l.dated(s))
	say("%s is the one that the BMC reports", agrees(s, id))
	say("root has the password of the kickstart")
	if l.published && l.media.Build != "" {
		say("build %s is the image's", s.Build)
	}
	if l.reset && l.known && l.since.Bytes > 0 {
		say("%s read %.1f MB of the image after the reset, from %s to %s", l.h.Reader(l.since.By), megabytes(l.since.Bytes), clock(l.since.First), clock(l.since.Last))
	}
	l.r.Unchecked = l.unchecked(s)
	l.h.Enter(event.PhaseProven, agrees(s, id)+" is the one that the BMC reports; "+l.dated(s))
	if l.bootedElse() {
		l.h.Warn("the image was never read in the %s since the reset, so this installation may come from somewhere else", text.Duration(l.elapsed()))
	}
}

// agrees is the number by which the system is known to run on this machine.
func agrees(s esxi.System, id bmc.Identity) string {
	if _, known := step.SameMachine(esxi.System{UUID: s.UUID}, bmc.Identity{UUID: id.UUID}); known {
		return "UUID " + s.UUID
	}
	if same, _ := step.SameMachine(esxi.System{Serials: s.Serials}, bmc.Identity{Serial: id.Serial}); same {
		return "serial number " + id.Serial
	}
	return "serial number " + id.Board
}
