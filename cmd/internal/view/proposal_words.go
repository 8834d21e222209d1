package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/media/kickstart"
	"esxiplan/engine/proposal"
	"esxiplan/engine/text"
)

// words says what would happen, in words of the future. value quotes what comes from a plan
// or a machine, so that it can do no harm in the text around it.
type words struct {
	value func(string) string
	ours  string // URL of the image that the host's changes publish
}

// inText quotes nothing: a terminal needs control characters taken out only.
var inText = words{value: text.Clean}

// sentence is a change in words.
type sentence struct {
	sign   string // + new, ~ other, - gone, ! for the machine itself
	text   string
	risk   event.Risk
	step   string // that makes it, with its type
	medium *event.Planned
}

// changes says what a host's changes are. The requests of one restart are one sentence.
func (w words) changes(h *proposal.Host) (out []sentence) {
	covered := map[string]string{} // what a place holds by an earlier change
	w.ours = published(h)
	started := map[string]bool{} // steps whose restart was said
	for _, c := range h.Changes {
		if c.Verb == event.Reset && started[c.Step] {
			continue
		}
		s := sentence{risk: c.Risk, step: c.Step}
		if c.Type != "" && c.Type != c.Step {
			s.step += " (" + c.Type + ")"
		}
		if c.Makes != nil {
			s.medium = &c
		}
		if c.Verb == event.Reset {
			started[c.Step] = true
			s.sign, s.text = "!", w.reset(h, c.Step, &s.risk)
		} else {
			s.sign, s.text = w.change(c.Change)
			if old, known := covered[c.Target]; c.Verb != event.Publish && c.Verb != event.Remove && c.Verb != event.Eject && (!known || old != c.Old) {
				s.text += " (now: " + w.orNone(c.Old, emptyOf(c.Verb)) + ")"
			}
		}
		covered[c.Target] = c.New
		out = append(out, s)
	}
	return out
}

// published is the URL of the image that is published for a host, "" for none.
func published(h *proposal.Host) string {
	if i := slices.IndexFunc(h.Changes, func(c event.Planned) bool { return c.Verb == event.Publish }); i >= 0 {
		return h.Changes[i].New
	}
	return ""
}

func emptyOf(v event.Verb) string {
	if v == event.Insert {
		return "empty"
	}
	return "none"
}

// resets are the requests by which a step changes the power of the machine.
func resets(h *proposal.Host, step string) (out []event.Planned) {
	for _, c := range h.Changes {
		if c.Step == step && c.Verb == event.Reset {
			out = append(out, c)
		}
	}
	return out
}

// reset says what a step does to the power of the machine, and notes the gravest risk of it.
func (w words) reset(h *proposal.Host, step string, risk *event.Risk) string {
	all := resets(h, step)
	var requests []string
	installs := false
	for _, c := range all {
		if c.New != "" { // which it is shows at the machine
			requests = append(requests, w.value(c.New))
		}
		installs = installs || c.Installs
		if c.Risk == event.Wipes {
			*risk = c.Risk
		}
	}
	what := "will be restarted"
	switch {
	case all[0].Risk == event.PowersOff:
		what = "will be powered off" + staysOff(h, step)
	case strings.EqualFold(all[0].Old, "Off"):
		what = "will be powered on"
	}
	if installs {
		what += " and will boot the installer"
	}
	when := "now"
	if first := slices.IndexFunc(h.Changes, func(c event.Planned) bool { return c.Verb == event.Reset }); h.Changes[first].Step != step {
		when = "by then"
	}
	asked := ""
	if len(requests) > 0 {
		asked = strings.Join(requests, ", ") + "; "
	}
	return fmt.Sprintf("the machine %s (%s%s: %s)", what, asked, when, w.orNone(all[0].Old, "unknown"))
}

// staysOff says so of a machine that no later step starts.
func staysOff(h *proposal.Host, step string) string {
	off := false
	for _, c := range h.Changes {
		off = off || c.Step == step
		if off && c.Verb == event.Reset && c.Risk != event.PowersOff {
			return ""
		}
	}
	return ", and stays off"
}

// change is the sign of a change and what it is.
func (w words) change(c event.Change) (sign, text string) {
	switch c.Verb {
	case event.Publish:
		if c.Old == "" || c.Old == event.NotLooked {
			return "+", "an installer image will be published" + w.at(c.New)
		}
		return "~", "the published installer image will be replaced: " + w.value(c.Old) + " → " + w.replacement(c.New)
	case event.Remove:
		if w.isNew(c.Old) {
			return "-", "the new image will be removed from where it is published"
		}
		return "-", "the published installer image will be removed: " + w.orNone(c.Old, "unknown URL")
	case event.Insert:
		return "+", w.image(c.New) + " will be mounted in " + w.value(c.Target)
	case event.Eject:
		return "-", w.image(cmp.Or(c.Old, "unknown image")) + " will be ejected from " + w.value(c.Target)
	case event.SetBoot:
		return w.boot(c)
	case event.Prepare:
		return "~", w.value(c.Target) + " will be set to " + w.value(cmp.Or(c.New, "empty"))
	}
	return "~", w.value(string(c.Verb)) + " " + w.value(c.Target) + " will be " + w.orNone(c.New, "empty")
}

func (w words) boot(c event.Change) (sign, text string) {
	switch {
	case c.New == "" && c.Old == event.NotLooked:
		return "~", "the source of the next boot will be set"
	case c.New == "none", c.New == "":
		return "-", "the boot source override will be cleared"
	}
	if source, every := strings.CutSuffix(c.New, continuous); every {
		return "~", "every boot will be from " + w.value(source)
	}
	return "~", "the next boot will be from " + w.value(c.New)
}

// continuous marks a boot source override that no boot uses up.
const continuous = " (continuous)"

// isUnbuilt reports the URL of an image that is built during the run.
func isUnbuilt(url string) bool { return strings.HasSuffix(url, event.Unbuilt) }

// image names an image by its URL.
func (w words) image(url string) string {
	if w.isNew(url) {
		return "the new image"
	}
	return w.orNone(url, "nothing")
}

// isNew reports the URL of the image that the host's changes publish.
func (w words) isNew(url string) bool { return url != "" && url == w.ours || isUnbuilt(url) }

func (w words) replacement(url string) string {
	if isUnbuilt(url) {
		return "one whose URL is known when it is built"
	}
	return w.value(url)
}

func (w words) at(url string) string {
	if isUnbuilt(url) {
		return " (its URL is known when it is built)"
	}
	return ": " + w.value(url)
}

func (w words) orNone(text, none string) string {
	if text == "" {
		return none
	}
	return w.value(text)
}

// outcome is what becomes of a host.
func outcome(o proposal.Outcome) string {
	switch o {
	case proposal.Install:
		return "will be installed"
	case proposal.Change:
		return "will be changed"
	case proposal.Unchanged:
		return "without change"
	case proposal.LeftOut:
		return "left out"
	case proposal.Undecided:
		return "not decided"
	}
	return string(o)
}

// mostVMs is how many virtual machines are named.
const mostVMs = 8

// runs is what runs on a machine now.
func (w words) runs(m *event.Machine) string {
	r := m.Runs
	var parts []string
	if strings.EqualFold(r.Power, "Off") {
		parts = append(parts, "nothing, it is powered off")
	}
	if r.Product != "" {
		product := r.Product
		if r.Build != "" && !strings.Contains(product, r.Build) {
			product += " build " + r.Build
		}
		parts = append(parts, w.value(product))
	}
	switch {
	case r.Use == "unknown" && r.Product == "":
		parts = append(parts, "unknown: "+w.value(r.Reason))
	case r.Use == "unknown":
		parts = append(parts, "whether it is in use is unknown: "+w.value(r.Reason))
	case len(r.VMs) > 0:
		parts = append(parts, event.Count(len(r.VMs), "VM")+" powered on: "+w.some(r.VMs, mostVMs))
	case r.Product != "":
		parts = append(parts, "no VM powered on")
	}
	if r.VCenter != "" {
		parts = append(parts, "managed by vCenter "+w.value(r.VCenter))
	}
	if r.VSAN {
		parts = append(parts, "member of a vSAN")
	}
	if since := proposal.Moment(r.Booted); since != "" {
		parts = append(parts, "up since "+since)
	}
	if len(parts) == 0 {
		return "unknown: " + w.value(cmp.Or(r.Reason, "it was not looked at"))
	}
	return strings.Join(parts, ", ")
}

// some names the first of many.
func (w words) some(names []string, most int) string {
	if most < 1 || len(names) <= most+1 { // one more is no longer than saying so
		most = len(names)
	}
	text := ""
	for i, name := range names[:most] {
		if i > 0 {
			text += ", "
		}
		text += w.value(name)
	}
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// disk is a disk that will be erased, and what is on it.
func (w words) disk(d event.Disk) string {
	text := w.value(d.String())
	if d.Cleared {
		text += ", cleared only"
	}
	if d.Unread {
		return text
	}
	return text + "; " + w.holds(d)
}

func (w words) holds(d event.Disk) string {
	switch {
	case d.Holds == nil:
		return "contents unknown: they could not be read"
	case len(d.Holds) == 0:
		return "no datastore on it"
	}
	return "on it: " + w.some(d.Holds, 0)
}

// open is what is known during the run only, with the steps of which that holds.
func (w words) open(h *proposal.Host) (out []string) {
	var order []string
	steps := map[string][]string{}
	for _, o := range h.Open {
		if steps[o.What] == nil {
			order = append(order, o.What)
		}
		steps[o.What] = append(steps[o.What], o.Step)
	}
	for _, what := range order {
		out = append(out, w.some(steps[what], 0)+": "+w.value(what))
	}
	return out
}

// medium is what is on a medium that would be published: facts in a line each, and a diff, ""
// where nothing differs. whole asks for the whole of a kickstart that replaces none.
func (w words) medium(c event.Planned, whole bool) (facts []string, diff string) {
	now, old := c.Makes, c.Replaces
	script := kickstart.Abbreviate(now.Kickstart)
	if old == nil {
		facts = append(facts, "installer: "+w.orNone(now.Source, "unknown"))
		if len(now.Options) > 0 {
			facts = append(facts, "kernel options: "+w.value(strings.Join(now.Options, " ")))
		}
		lines := event.Count(strings.Count(strings.TrimSuffix(now.Kickstart, "\n"), "\n")+1, "line")
		if !whole {
			return append(facts, "kickstart: new, "+lines+" (--diff shows it)"), ""
		}
		return append(facts, "kickstart: new, "+lines), UnifiedDiff("/dev/null", "kickstart", "", script)
	}
	if now.Source != old.Source {
		facts = append(facts, "installer: "+w.orNone(old.Source, "unknown")+" → "+w.orNone(now.Source, "unknown"))
	}
	if now.Kickstart == old.Kickstart {
		facts = append(facts, "kickstart: the same as on the published image")
	}
	return facts, UnifiedDiff("kickstart (published)", "kickstart (planned)", kickstart.Abbreviate(old.Kickstart), script) +
		UnifiedDiff("kernel options (published)", "kernel options (planned)", strings.Join(old.Options, "\n"), strings.Join(now.Options, "\n"))
}

// title names the hosts of a block.
func (w words) title(b proposal.Block) string {
	first := w.value(b.Hosts[0].Host)
	switch n := len(b.Hosts); n {
	case 1:
		return first
	case 2:
		return "2 hosts (" + first + ", " + w.value(b.Hosts[1].Host) + ")"
	default: // no range: others of the plan may stand between them
		return fmt.Sprintf("%d hosts (%s and %d more)", n, first, n-1)
	}
}

// facts are group, model and addresses, as far as they are the same for all hosts of a block.
func (w words) facts(b proposal.Block) (out []string) {
	add := func(name, value string) {
		if value != "" && !(len(b.Hosts) > 1 && strings.Contains(value, "{")) {
			out = append(out, strings.TrimSpace(name+" "+w.value(value)))
		}
	}
	h := b.Host
	add("group", h.Group)
	if h.Machine != nil {
		add("", h.Machine.Model)
		add("serial", h.Machine.Serial)
	}
	if h.BMC != h.Host {
		add("BMC", h.BMC)
	}
	add("ESXi", h.Address)
	return out
}

// total is the summary, with the reasons of refusals.
func (w words) total(p *proposal.Proposal) string {
	out := p.Summary.String()
	if reasons := w.reasons(p.With(proposal.Refused)); reasons != "" {
		out += ": " + reasons
	}
	return out
}

// mostNamed is how many hosts of a reason are named in the summary.
const mostNamed = 5

// mostReasons is how many reasons the summary has.
const mostReasons = 5

// reasons are why hosts are refused, in short.
func (w words) reasons(hosts []*proposal.Host) string {
	var order []string
	names := map[string][]string{}
	for _, h := range hosts {
		why := reason(h)
		if names[why] == nil {
			order = append(order, why)
		}
		names[why] = append(names[why], h.Host)
	}
	slices.SortStableFunc(order, func(a, b string) int { return len(names[b]) - len(names[a]) })
	var parts []string
	for i, why := range order {
		if i == mostReasons {
			parts = append(parts, fmt.Sprintf("and %d more reasons", len(order)-i))
			break
		}
		parts = append(parts, w.some(names[why], mostNamed)+" ("+w.value(why)+")")
	}
	return strings.Join(parts, ", ")
}

// reason is why a host is refused, in a word or two.
func reason(h *proposal.Host) string {
	switch {
	case h.Problem != nil && h.Problem.Guard != "":
		return h.Problem.Guard
	case h.Step != "":
		return "step " + h.Step
	}
	return "see above"
}

// diskInShort is a disk by what tells it from others, and what is on it.
func (w words) diskInShort(d event.Disk) string {
	if d.Taken {
		return w.disk(d)
	}
	text := w.value(strings.TrimSpace(d.Model + " " + d.Size))
	switch {
	case d.Serial != "":
		text += ", serial " + w.value(d.Serial)
	case len(d.WWN) > 0:
		text += ", WWN " + w.value(strings.Join(d.WWN, " "))
	case d.Name != "":
		text += ", in " + w.value(d.Name)
	}
	if d.Cleared {
		text += ", cleared only"
	}
	switch {
	case d.Unread:
		return text
	case d.Holds == nil:
		return text + " (contents unknown)"
	}
	return text + " (" + w.holds(d) + ")"
}

// runsInShort is what runs on a machine, without build and time.
func (w words) runsInShort(m *event.Machine) string {
	short := *m
	short.Runs.Build, short.Runs.Booted = "", time.Time{}
	return w.runs(&short)
}
