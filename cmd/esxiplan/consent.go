package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/term"

	"esxiplan/engine/bmc"
	"esxiplan/engine/esxi"
	"esxiplan/engine/event"
	"esxiplan/engine/session"
	"esxiplan/engine/step"
	"esxiplan/engine/survey"
	"esxiplan/schema"
)

// consent asks before a run that wipes machines, or that stops what runs on them: it lists
// hosts and disks, and hosts with what runs there. What was agreed to is what the guards
// let pass.
func (r *request) consent() error {
	if done, err := r.offerResume(); done || err != nil {
		return err
	}
	if r.flags.yes || r.rehearsal {
		r.agreed = session.Everything()
		return nil
	}
	var uses []string
	q := r.prepared.Question(func(hosts []*schema.Host) (on []*schema.Host) {
		on, uses = r.running(hosts)
		return on
	})
	if !q.Needed() {
		return nil
	}
	var lines []string
	if len(q.Wipes) > 0 {
		lines = append([]string{fmt.Sprintf("This run restarts %s into an installer that wipes these disks:", event.Count(len(q.Wipes), "host"))},
			r.wiped(q.Wipes)...)
	}
	if len(q.Stops) > 0 {
		lines = append(append(lines, fmt.Sprintf("This run powers off or restarts %s (on, or may be on):", event.Count(len(q.Stops), "machine"))), uses...)
	}
	fmt.Fprintln(r.streams.Err, strings.Join(lines, "\n"))
	r.agreed = q.Yes()
	return r.askYes()
}

func hostNames(hosts []*schema.Host) []string {
	var names []string
	for _, h := range hosts {
		names = append(names, h.Name)
	}
	return names
}

// offerResume tells of a run of the plan that did not end. Where this one would wipe hosts
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

// named is a host with what tells it from others.
func named(h *schema.Host) string {
	if h.Serial == "" {
		return "  " + h.Name
	}
	return "  " + h.Name + " serial " + h.Serial
}

// wiped lists disks that an installer would overwrite, host by host.
func (r *request) wiped(hosts []*schema.Host) (lines []string) {
	for _, h := range r.chosen(hosts) {
		if h.ESXi == nil || h.ESXi.Disk == nil {
			lines = append(lines, named(h)+": no disk declared")
			continue
		}
		lines = append(lines, named(h)+": "+h.ESXi.Disk.String())
		for _, d := range h.ESXi.Wipe {
			lines = append(lines, named(h)+": "+d.String()+" (cleared)")
		}
	}
	return lines
}

// chosen reads the machines whose disk is chosen by their facts, so that the question
// names it. Where that fails, the run will say why; nothing is wiped then.
func (r *request) chosen(hosts []*schema.Host) []*schema.Host {
	w := r.newWorld(r.plan, r.site, nil)
	out := slices.Clone(hosts)
	each(hosts, r.flags.forks, func(i int, h *schema.Host) {
		if !h.Late() {
			return
		}
		facts, err := w.readMachine(context.Background(), h, func(string) {})
		if err != nil {
			return
		}
		b, err := json.Marshal(facts)
		if err != nil {
			return
		}
		if resolved, _, diags := step.Resolve(r.plan, h, b); !diags.HasErrors() {
			out[i] = resolved
		}
	})
	return out
}

// running looks which of the machines are on, or may be, and what runs on them.
func (r *request) running(hosts []*schema.Host) (on []*schema.Host, uses []string) {
	w := r.newWorld(r.plan, r.site, nil)
	found := make([]string, len(hosts))
	each(hosts, r.flags.forks, func(i int, h *schema.Host) { found[i] = w.runsOn(context.Background(), h) })
	for i, h := range hosts {
		if found[i] != "" {
			on, uses = append(on, h), append(uses, named(h)+": "+found[i])
		}
	}
	return on, uses
}

// runsOn says what runs on a machine, as far as it shows without a login to its system; ""
// for one that is off.
func (w *world) runsOn(ctx context.Context, h *schema.Host) string {
	c, err := w.reader(h, func(string) {})
	if err != nil {
		return "may be on: " + err.Error()
	}
	defer c.Close(ctx)
	p, err := c.Power(ctx)
	switch {
	case err != nil:
		return "may be on: " + err.Error()
	case p.State == bmc.Off:
		return ""
	}
	text := "power state " + string(p.State)
	if h.ESXi == nil {
		return text
	}
	x := esxi.Open(w.esxiOptions(h.ESXi))
	defer x.Close()
	probe, err := x.Probe(ctx)
	switch {
	case err != nil:
		return text + ", " + err.Error()
	case probe.State == esxi.Up:
		return text + ", " + probe.Product + " answers on " + h.ESXi.Address
	}
	return text + ", nothing that is known answers on " + h.ESXi.Address + " (" + probe.Reason + ")"
}
