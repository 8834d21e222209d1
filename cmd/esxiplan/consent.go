package main

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/term"

	"esxiplan/cmd/internal/view"
	"esxiplan/engine/event"
	"esxiplan/engine/proposal"
	"esxiplan/engine/session"
	"esxiplan/engine/survey"
	"esxiplan/schema"
)

// consent asks before a run that wipes machines, or that stops what runs on them: it shows what
// the run would do there, with the disks as their BMCs report them. What was agreed to is what
// the guards let pass.
func (r *request) consent() error {
	if r.saved != nil {
		return r.applied()
	}
	if done, err := r.offerResume(); done || err != nil {
		return err
	}
	switch {
	case r.flags.yes, r.rehearsal:
		r.agreed = session.Everything()
		return nil
	case len(r.prepared.Wipes())+len(r.prepared.Stops()) == 0:
		return nil
	}
	p, err := r.foresee()
	if err != nil {
		return err
	}
	onErr := *r.streams
	onErr.Out, onErr.Color = r.streams.Err, r.streams.ColorErr
	r.agreed = session.Agree(p)
	if len(p.Applicable()) == 0 {
		view.Proposal(&onErr, p, view.ProposalOptions{Brief: true})
		r.sayBefore("nothing was started: no host can go through these steps")
		return exitCode(p.Summary.Exit(false))
	}
	if !slices.ContainsFunc(p.Hosts, func(h *proposal.Host) bool { return h.Wipes() || h.Stops() }) {
		return nil
	}
	view.Proposal(&onErr, p, view.ProposalOptions{Brief: true})
	return r.askYes()
}

// applied is the consent that a saved plan gives. One that is being continued may have become too
// old meanwhile.
func (r *request) applied() error {
	if r.prepared.Continues == nil {
		if err := r.saved.CheckAge(r.clock.Now(), r.saved.maxAge); err != nil {
			return r.refuseSaved(err)
		}
	}
	r.introduce()
	r.agreed = session.Apply(r.saved.Proposal)
	return nil
}

// foresee makes a dry run of what was prepared.
func (r *request) foresee() (*proposal.Proposal, error) {
	f := *r.flags
	f.dry, f.prune = true, false
	dry := *r
	dry.flags = &f
	prepared, _, err := session.Prepare(r.plan, dry.options())
	if err != nil {
		return nil, r.refuse(err)
	}
	prepared.SetForks(f.forks)
	p, exit, err := dry.propose(prepared)
	switch {
	case err != nil:
		return nil, err
	case exit != event.ExitOK:
		r.sayBefore("nothing was started")
		return nil, exitCode(exit)
	}
	return p, nil
}

func hostNames(hosts []*schema.Host) []string {
	var names []string
	for _, h := range hosts {
		names = append(names, h.Name)
	}
	return names
}

// offerResume points out a run of the plan that did not end. Where this one would wipe hosts
// that the other installed, it asks: done is that the answer was to continue the other one,
// which was agreed to then as well.
func (r *request) offerResume() (done bool, err error) {
	before := r.prepared.Unfinished
	if before == nil {
		return false, nil
	}
	about := fmt.Sprintf("%s of this plan, started by %s %s, is unfinished", before.Run, before.By, r.prepared.Ago(before.Began))
	resume := r.secrets.Mask(r.resumption(before.Run))
	if len(r.prepared.Proven) == 0 {
		fmt.Fprintf(r.streams.Err, "note: run %s; this is another run. To continue that one: %s\n", about, resume)
		return false, nil
	}
	fmt.Fprintf(r.streams.Err, "Run %s. It installed and proved %s, which run %s would wipe again: %s\n", about,
		event.Count(len(r.prepared.Proven), "host"), r.prepared.Name, strings.Join(r.prepared.Proven, ", "))
	switch named := r.flags.name != ""; {
	case named && r.flags.yes: // who names a run and consents means another one
		return false, nil
	case !term.IsTerminal(int(r.in.Fd())):
		return false, r.refuse(fmt.Errorf("continue that run with %s; or, to reinstall these hosts, start a new run with --run NAME and --yes", resume))
	}
	write(r.streams.Err, "Type resume to continue that run, or new to start this one: ")
	switch answer, err := r.readLine(); {
	case err == nil && answer == "new":
		return false, nil
	case err != nil || answer != "resume":
		r.sayBefore("nothing was started")
		return false, exitCode(event.ExitRefused)
	}
	r.flags.choice, r.flags.name, r.flags.resume = survey.Choice{}, before.Run, true
	if err := r.prepare(); err != nil {
		return false, err
	}
	return true, r.consent()
}

func (r *request) askYes() error {
	if !term.IsTerminal(int(r.in.Fd())) {
		r.sayBefore("nothing was started: there is no terminal to ask on; --yes gives consent")
		return exitCode(event.ExitRefused)
	}
	write(r.streams.Err, "Type yes to continue: ")
	if answer, err := r.readLine(); err != nil || answer != "yes" {
		r.sayBefore("nothing was started")
		return exitCode(event.ExitRefused)
	}
	return nil
}
