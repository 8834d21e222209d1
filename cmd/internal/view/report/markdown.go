package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"esxiplan/cmd/internal/view"
	"esxiplan/cmd/internal/view/markdown"
	"esxiplan/engine/event"
	"esxiplan/engine/story"
)

// mostMarkdown is how many bytes a report has at most: code hosts refuse comments of 65,536
// characters, and cut the summaries of jobs.
const mostMarkdown = 59_500

// foldAbove is the number of hosts above which hosts that are alike stand in one row.
const foldAbove = 40

// mostNamed is how many hosts of one row or problem are named.
const mostNamed = 40

// page is Markdown that is being written. What there is no room for is left out as a whole, and
// said.
type page struct {
	strings.Builder
	room int
	left []string // what was left out
}

// section writes lines under a title as far as there is room for them.
func (p *page) section(begin string, items []string, end, what string) {
	if len(items) == 0 {
		return
	}
	room := p.room - len(begin) - len(end)
	text, n := "", 0
	for _, item := range items {
		if len(text)+len(item) > room {
			break
		}
		text, n = text+item, n+1
	}
	if n > 0 {
		p.WriteString(begin + text + end)
		p.room -= len(begin) + len(text) + len(end)
	}
	if n < len(items) {
		p.left = append(p.left, fmt.Sprintf("%d of %s", len(items)-n, event.Count(len(items), what)))
	}
}

func writeMarkdown(w io.Writer, r *run) error {
	head, foot := r.heading(), r.footer()
	const leftOut = 400 // room to say what is left out
	p := &page{room: mostMarkdown - len(head) - len(foot) - leftOut}
	p.WriteString(head)
	rows := r.rows()
	p.section("#### In trouble\n\n", r.troubles(rows), "\n", "problem")
	p.section("#### Next\n\n", commandsOf(view.Next(r.Story)), "", "command")
	begin, end := markdown.Row("host", "standing", "took", "steps", "about")+markdown.Row("---", "---", "---", "---", "---"), "\n"
	if len(r.hosts) > foldAbove {
		begin, end = fmt.Sprintf("<details><summary>All %d hosts</summary>\n\n", len(r.hosts))+begin, "\n</details>\n\n"
	}
	p.section(begin, tableOf(rows), end, "row")
	p.section("<details><summary>What the proofs rest on</summary>\n\n", r.proofs(), "\n</details>\n\n", "proof")
	p.section("<details><summary>Warnings</summary>\n\n", r.warnings(), "\n</details>\n\n", "warning")
	if len(p.left) > 0 {
		fmt.Fprintf(p, "**Left out for lack of room:** %s. The reports of the kinds json and html have all.\n\n", strings.Join(p.left, ", "))
	}
	p.WriteString(foot)
	_, err := io.WriteString(w, p.String())
	return err
}

// heading is what counts most. The first line is a mark by which a bot finds the comment that it
// made before.
func (r *run) heading() string {
	title := fmt.Sprintf("<!-- esxiplan report: %s -->\n### Run %s of plan %s\n\n", markdown.Comment(r.Plan.Name), markdown.Code(r.Run), markdown.Code(r.Plan.Name))
	text := title + "**" + r.totals() + "** · " + markdown.Code(r.outcome()) + "\n\n"
	if r.Plan.Note != "" {
		text += markdown.Code(r.Plan.Note) + "\n\n"
	}
	return text
}

func (r *run) footer() string {
	parts := []string{r.times()}
	if r.By != "" {
		parts = append(parts, "by "+markdown.Code(r.By))
	}
	if r.Command != "" {
		parts = append(parts, markdown.Code(r.Command))
	}
	if r.Version != "" {
		parts = append(parts, "esxiplan "+markdown.Cell(r.Version))
	}
	return "---\n<sub>" + strings.Join(parts, " · ") + "</sub>\n"
}

// alike are hosts that stand in one row.
type alike struct {
	*host           // the first one
	names  []string // of all
	took   time.Duration
	differ bool // in what is said about them
}

// rows are the hosts, the most urgent first. Of many, those that are alike are one row.
func (r *run) rows() (out []alike) {
	at := map[string]int{}
	for _, h := range r.urgent() {
		key := view.Alike(h.Host)
		i, known := at[key]
		if !known || len(r.hosts) <= foldAbove {
			at[key], out = len(out), append(out, alike{host: h, names: []string{h.Name}, took: h.Took()})
			continue
		}
		a := &out[i]
		a.names, a.took = append(a.names, h.Name), max(a.took, h.Took())
		a.differ = a.differ || a.why != h.why || a.next != h.next
	}
	return out
}

// urgent are the hosts by their standing, those in trouble first.
func (r *run) urgent() (out []*host) {
	for _, standing := range story.Standings {
		for _, h := range r.hosts {
			if h.standing == standing {
				out = append(out, h)
			}
		}
	}
	return out
}

// hostNames names the hosts of a row.
func (a alike) hostNames() string {
	var shown []string
	for _, name := range a.names[:min(len(a.names), mostNamed)] {
		shown = append(shown, markdown.Cell(name))
	}
	text := strings.Join(shown, ", ")
	if more := len(a.names) - mostNamed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// example names the host of which the text about a row is true, where it is not true of all.
func (a alike) example() string {
	if !a.differ {
		return ""
	}
	return "for example " + markdown.Cell(a.Name) + ": "
}

// troubles are the hosts that need attention: what failed or is unproven, and machines that are off
// or still being installed.
func (r *run) troubles(rows []alike) (out []string) {
	for _, a := range rows {
		if !view.Troubled(a.standing) && a.standing != story.Running {
			continue
		}
		item := "- " + a.hostNames() + ": **" + string(a.standing) + "**"
		if a.why != "" {
			item += ": " + a.example() + markdown.Code(a.why)
		}
		if a.next != "" {
			item += "<br>**Next:** " + markdown.Code(a.next)
		}
		if causes := a.causes(); len(causes) > 0 && causes[0].Problem.At != "" {
			item += "<br>at " + markdown.Code(causes[0].Problem.At)
		}
		out = append(out, item+"\n")
	}
	return out
}

func commandsOf(commands []view.Command) (out []string) {
	for _, c := range commands {
		out = append(out, c.Why+":\n\n"+markdown.Fence("sh", c.Line)+"\n")
	}
	return out
}

func tableOf(rows []alike) (out []string) {
	for _, a := range rows {
		name := markdown.Cell(a.Name)
		if more := len(a.names) - 1; more > 0 {
			name += fmt.Sprintf(" and %d more", more)
		}
		about := a.example() + markdown.Cell(a.why)
		if causes := a.causes(); len(causes) > 0 { // the reason stands above
			about = "in step " + markdown.Cell(view.StepName(causes[0].Name, causes[0].Type))
		}
		out = append(out, markdown.Row(name, string(a.standing), view.Span(a.took), a.counts(), about))
	}
	return out
}

// counts are the steps of a host by status.
func (h *host) counts() string {
	c := h.Counts
	var parts []string
	for _, one := range []struct {
		n    int
		what string
	}{{c.OK, "ok"}, {c.Changed, "changed"}, {c.Skipped, "skipped"}, {c.Ignored, "ignored"}, {c.Failed, "failed"}, {c.Unreach, "unreachable"}, {c.Retried, "retried"}} {
		if one.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", one.n, one.what))
		}
	}
	return strings.Join(parts, ", ")
}

// proofs are what each proof rests on, and what could not be checked.
func (r *run) proofs() (out []string) {
	for _, h := range r.hosts {
		if h.proof() == nil {
			continue
		}
		version, build := h.version()
		text := "- " + markdown.Cell(h.Name) + ": " + markdown.Code("ESXi "+version+" build "+build) + "\n"
		rests, unchecked := h.evidence()
		for _, line := range rests {
			text += "  - " + markdown.Code(line) + "\n"
		}
		for _, line := range unchecked {
			text += "  - not checked: " + markdown.Code(line) + "\n"
		}
		out = append(out, text)
	}
	return out
}

// warnings are those of the run and of its hosts, each once with the hosts that have it.
func (r *run) warnings() (out []string) {
	for _, n := range r.Notes {
		out = append(out, "- "+markdown.Code(n.Text)+"\n")
	}
	var order []string
	hosts := map[string][]string{}
	for _, h := range r.hosts {
		for _, n := range h.Notes {
			if hosts[n.Text] == nil {
				order = append(order, n.Text)
			}
			hosts[n.Text] = append(hosts[n.Text], h.Name)
		}
	}
	for _, text := range order {
		out = append(out, "- "+alike{names: hosts[text]}.hostNames()+": "+markdown.Code(text)+"\n")
	}
	return out
}
