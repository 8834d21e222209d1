package schema

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// concern is the Extra of a problem that certain hosts have.
type concern struct {
	hosts  []*Host
	varies bool // the detail is that of the first host; the others differ in their values
	named  bool // the detail names the hosts
}

// Concerned names the hosts that a problem concerns, in the order of the plan; none if it
// is one of the plan as a whole.
func Concerned(d *hcl.Diagnostic) []string {
	c, _ := d.Extra.(*concern)
	if c == nil {
		return nil
	}
	names := make([]string, len(c.hosts))
	for i, h := range c.hosts {
		names[i] = h.Name
	}
	return names
}

// concerns notes that a problem concerns a host, and reports whether it is the first one.
func concerns(d *hcl.Diagnostic, h *Host) (first bool) {
	c, ok := d.Extra.(*concern)
	if !ok {
		d.Extra = &concern{hosts: []*Host{h}}
		return true
	}
	if c.hosts[len(c.hosts)-1] != h {
		c.hosts = append(c.hosts, h)
	}
	return false
}

// Concerning notes that a problem concerns a host. [Plan.Settle] says so in its detail.
func Concerning(d *hcl.Diagnostic, h *Host) *hcl.Diagnostic {
	concerns(d, h)
	return d
}

// Settle makes one problem of those that several hosts have at the same place, names the
// hosts, hides secrets, and sorts.
func (p *Plan) Settle(diags hcl.Diagnostics) hcl.Diagnostics { return p.settled(diags) }

// settled prepares all problems for display: secrets hidden, each problem once with all its
// hosts, sorted, and bounded in number.
func (p *Plan) settled(diags hcl.Diagnostics) hcl.Diagnostics {
	return shortened(Sorted(p.named(gathered(Sorted(distinct(p.fold(p.hide(diags))))))))
}

// onceOnly are summaries of problems whose cause is elsewhere: in what is referred to.
var onceOnly = map[string]bool{"Unknown local": true, "Unknown variable": true, "Unknown image": true, "Invalid index": true, "Unsupported attribute": true}

// gathered keeps the first of those references that fail for the same reason, and says where
// the others are.
func gathered(diags hcl.Diagnostics) hcl.Diagnostics {
	first := map[string]*hcl.Diagnostic{}
	others := map[*hcl.Diagnostic][]hcl.Range{}
	out := slices.DeleteFunc(diags, func(d *hcl.Diagnostic) bool {
		if !onceOnly[d.Summary] || d.Subject == nil {
			return false
		}
		same := first[d.Detail]
		if same == nil {
			first[d.Detail] = d
			return false
		}
		others[same] = append(others[same], *d.Subject)
		same.Extra = together(same, d)
		return true
	})
	for d, places := range others {
		d.Detail += elsewhere(places)
	}
	return out
}

// together is what two problems concern: the hosts of both, or the plan as a whole.
func together(a, b *hcl.Diagnostic) any {
	one, ok := a.Extra.(*concern)
	other, alsoOK := b.Extra.(*concern)
	if !ok || !alsoOK {
		return nil
	}
	return &concern{hosts: unique(slices.Concat(one.hosts, other.hosts)), varies: one.varies || other.varies}
}

// unique lists each host once.
func unique(hosts []*Host) []*Host {
	seen := make(map[*Host]bool, len(hosts))
	return slices.DeleteFunc(hosts, func(h *Host) bool {
		known := seen[h]
		seen[h] = true
		return known
	})
}

// distinct keeps the first of equal problems, and the first of several of a place that the
// parser finds there one after another.
func distinct(diags hcl.Diagnostics) hcl.Diagnostics {
	seen := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(diags), func(d *hcl.Diagnostic) bool {
		key := d.Summary + d.Detail
		if d.Subject != nil {
			key += position(*d.Subject)
		}
		known := seen[key]
		seen[key] = true
		return known
	})
}

// values are the parts of a detail in which the same problem of two hosts may differ.
var values = regexp.MustCompile(` Did you mean "[^"]*"\?|"[^"]*"|[0-9a-fA-F]*[0-9][0-9a-fA-F.:/]*`)

// bucket holds problems that are the same but for values and hosts.
type bucket struct {
	summary, place, shape string
	severity              hcl.DiagnosticSeverity
}

// mostVariants bounds how many problems of one host are compared with those of another.
const mostVariants = 8

// fold makes one problem of those that several hosts have at the same place, such as an
// argument of their group, and of what several hosts of a group lack.
func (p *Plan) fold(diags hcl.Diagnostics) hcl.Diagnostics {
	buckets := map[bucket]hcl.Diagnostics{}
	out := slices.DeleteFunc(slices.Clone(diags), func(d *hcl.Diagnostic) bool {
		c, ok := d.Extra.(*concern)
		if !ok || c.named || d.Subject == nil {
			return false
		}
		b := bucket{d.Summary, position(*d.Subject), values.ReplaceAllLiteralString(d.Detail, ""), d.Severity}
		if strings.HasPrefix(d.Summary, missingSomething) { // it has no place
			b.place, b.shape = c.hosts[0].Group, d.Detail
		}
		into := sameProblem(buckets[b], d, c)
		if into == nil {
			buckets[b] = append(buckets[b], d)
			return false
		}
		whole := into.Extra.(*concern)
		whole.hosts = append(whole.hosts, c.hosts...)
		whole.varies = whole.varies || c.varies || into.Detail != d.Detail
		return true
	})
	return out
}

// named says in details which hosts they concern.
func (p *Plan) named(diags hcl.Diagnostics) hcl.Diagnostics {
	var places map[hcl.Range]int // of host blocks; several where a block makes several hosts
	for _, d := range diags {
		if c, ok := d.Extra.(*concern); !ok || c.named {
			continue
		}
		if places == nil {
			places = map[hcl.Range]int{}
			for _, h := range p.Hosts() {
				places[h.Range]++
			}
		}
		p.nameHosts(d, places)
	}
	return diags
}

// missingSomething is how summaries of missing things begin.
const missingSomething = "Missing "

// sameProblem finds the problem of other hosts that is the same as that of a host.
func sameProblem(all hcl.Diagnostics, d *hcl.Diagnostic, c *concern) *hcl.Diagnostic {
	for _, other := range all[:min(len(all), mostVariants)] {
		hosts := other.Extra.(*concern).hosts
		if hosts[len(hosts)-1] != c.hosts[0] || other.Detail == d.Detail {
			return other
		}
	}
	return nil
}

// nameHosts says in the detail of a problem which hosts it concerns, unless its place says so.
func (p *Plan) nameHosts(d *hcl.Diagnostic, places map[hcl.Range]int) {
	c := d.Extra.(*concern)
	c.named = true
	c.hosts = unique(c.hosts)
	group, all := p.common(c.hosts)
	if group != nil && all && len(c.hosts) > 1 && strings.HasPrefix(d.Summary, missingSomething) {
		d.Subject = &group.Range
	}
	first := c.hosts[0]
	switch own := d.Subject != nil && places[first.Range] == 1 && first.holds(*d.Subject); {
	case len(c.hosts) == 1 && (own || all):
	case len(c.hosts) == 1:
		d.Detail = ofHost(first, d.Detail)
	case c.varies && all:
		d.Detail = fmt.Sprintf("%s The same problem on %s.", ofHost(first, d.Detail), p.hostsInWords(c.hosts))
	case c.varies:
		d.Detail = fmt.Sprintf("%s The same problem on %s.", ofHost(first, d.Detail), p.hostsInWords(c.hosts[1:]))
	default:
		d.Detail = fmt.Sprintf("%s This concerns %s.", d.Detail, p.hostsInWords(c.hosts))
	}
	switch {
	case c.varies: // the detail is the first one's
		d.Detail += madeBy(c.hosts[:1])
	case !all, len(c.hosts) == 1:
		d.Detail += madeBy(c.hosts)
	}
}

// ofHost says which host a detail is about.
func ofHost(h *Host, detail string) string {
	if strings.HasPrefix(detail, "Host ") {
		return detail
	}
	if words := sentenceBegin.FindString(detail); words != "" {
		detail = strings.ToLower(words) + detail[len(words):]
	}
	return "Host " + h.Name + ": " + detail
}

// sentenceBegin matches a word that has its capital only at the beginning of a sentence.
var sentenceBegin = regexp.MustCompile(`^[A-Z][a-z]* `)

// count is a number of things.
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// common is the only group of hosts, nil where they are of several; all: they are all hosts
// of their groups.
func (p *Plan) common(hosts []*Host) (group *Group, all bool) {
	counts := map[string]int{}
	for _, h := range hosts {
		counts[h.Group]++
	}
	all = true
	for _, g := range p.Groups {
		if n := counts[g.Name]; n > 0 {
			group, all = g, all && n == len(g.Hosts)
		}
	}
	if len(counts) != 1 {
		return nil, all
	}
	return group, all
}

// mostNamed is how many hosts a sentence names.
const mostNamed = 5

// hostsInWords names hosts for a sentence: all of a group, or the first of them.
func (p *Plan) hostsInWords(hosts []*Host) string {
	group, all := p.common(hosts)
	of := ""
	if group != nil {
		of = " of group " + group.Name
	}
	switch n := len(hosts); {
	case all && n == 2:
		return "both hosts" + of
	case all && n > 2:
		return fmt.Sprintf("all %d hosts%s", n, of)
	}
	var names []string
	for _, h := range hosts[:min(len(hosts), mostNamed)] {
		names = append(names, h.Name)
	}
	switch n := len(hosts); {
	case n > mostNamed:
		return fmt.Sprintf("hosts %s and %d more%s", strings.Join(names, ", "), n-mostNamed, of)
	case n == 1:
		return "host " + names[0]
	}
	return "hosts " + strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// holds reports whether a place lies in the host's own block.
func (h *Host) holds(at hcl.Range) bool {
	if at == h.Range {
		return true
	}
	for _, s := range h.said.host {
		if s.at == at {
			return true
		}
		for _, attr := range s.arguments {
			if attr.Range.Filename == at.Filename && attr.Range.Start.Byte <= at.Start.Byte && at.End.Byte <= attr.Range.End.Byte {
				return true
			}
		}
	}
	return false
}
