package proposal

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"esxiplan/engine/event"
)

// Block is one host, or several that differ in values of their own only, such as names,
// addresses and serial numbers.
type Block struct {
	// Host is what the hosts have in common. Where their values differ, the name of the column
	// is in braces, such as {serial}.
	Host    *Host
	Hosts   []*Host  // in the order of the plan
	Columns []Column // what differs; the hosts' names are the first one
}

// Column is a value that differs from host to host.
type Column struct {
	Name   string
	Minor  bool     // follows from the others, or says little to people
	Values []string // of each host of the block
}

// Blocks joins hosts that differ in their own values only. Their outcomes, their disks'
// models, sizes and contents, what runs there and the list of changes are the same for all
// hosts of a block. Blocks are in the order of the plan, those in trouble first.
func Blocks(p *Proposal) []Block {
	byShape := map[string]int{}
	var groups [][]member
	for _, h := range p.Hosts {
		m := member{h, ownValues(h)}
		key := m.shape()
		i, ok := byShape[key]
		if !ok {
			i, byShape[key] = len(groups), len(groups)
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], m)
	}
	blocks := make([]Block, len(groups))
	for i, members := range groups {
		blocks[i] = join(members)
	}
	slices.SortStableFunc(blocks, func(a, b Block) int { return cmp.Compare(a.Host.Outcome.rank(), b.Host.Outcome.rank()) })
	return blocks
}

// rank puts trouble first.
func (o Outcome) rank() int {
	switch o {
	case Refused:
		return 0
	case Unreachable:
		return 1
	}
	return 2
}

// member is a host with its own values.
type member struct {
	host *Host
	own  []value
}

// value is a value of a host's own, by name.
type value struct {
	name, text string
	minor      bool
}

// value is that of a name, "" where the host has none.
func (m member) value(name string) string {
	if i := slices.IndexFunc(m.own, func(v value) bool { return v.name == name }); i >= 0 {
		return m.own[i].text
	}
	return ""
}

// shape is equal for hosts that differ in their own values only.
func (m member) shape() string {
	names := map[string]string{}
	for _, v := range m.own {
		names[v.text] = "\x00" + v.name + "\x00"
	}
	h := mapped(m.host, replacer(names))
	if h.Machine != nil {
		h.Machine.Firmware, h.Machine.Runs.Fingerprint = "", ""
		h.Machine.Runs.Installed, h.Machine.Runs.Booted = known(h.Machine.Runs.Installed), known(h.Machine.Runs.Booted)
	}
	b, err := json.Marshal(h)
	if err != nil { // a value that JSON cannot hold joins no other
		return "\x01" + m.host.Host
	}
	return string(b)
}

// known keeps of a time only whether it is known.
func known(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return time.Unix(0, 0).UTC()
}

// join makes a block of hosts of one shape.
func join(members []member) Block {
	first := members[0]
	b := Block{Host: first.host}
	for _, m := range members {
		b.Hosts = append(b.Hosts, m.host)
	}
	if len(members) == 1 {
		return b
	}
	names := map[string]string{}
	for _, v := range first.own {
		c := Column{Name: v.name, Minor: v.minor}
		for _, m := range members {
			c.Values = append(c.Values, m.value(v.name))
		}
		if equal(c.Values) || slices.ContainsFunc(b.Columns, func(o Column) bool { return slices.Equal(o.Values, c.Values) }) {
			continue
		}
		b.Columns = append(b.Columns, c)
		names[v.text] = "{" + v.name + "}"
	}
	b.Host = mapped(first.host, replacer(names))
	b.keepCommon()
	return b
}

func equal(values []string) bool {
	return !slices.ContainsFunc(values, func(v string) bool { return v != values[0] })
}

// keepCommon removes from the machine what is not the same for all hosts, and has no place in
// the texts.
func (b *Block) keepCommon() {
	if b.Host.Machine == nil {
		return
	}
	since := Column{Name: "up since"}
	for _, h := range b.Hosts {
		since.Values = append(since.Values, Moment(h.Machine.Runs.Booted))
		clearDifferent(&b.Host.Machine.Firmware, h.Machine.Firmware)
		clearDifferent(&b.Host.Machine.Runs.Fingerprint, h.Machine.Runs.Fingerprint)
		if !h.Machine.Runs.Installed.Equal(b.Host.Machine.Runs.Installed) {
			b.Host.Machine.Runs.Installed = time.Time{}
		}
	}
	if !equal(since.Values) {
		b.Columns, b.Host.Machine.Runs.Booted = append(b.Columns, since), time.Time{}
	}
}

func clearDifferent(common *string, other string) {
	if *common != other {
		*common = ""
	}
}

// Moment is a time for people, to the minute and in UTC, so that it reads the same everywhere;
// "" for none.
func Moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

// ownValues are what a host has for itself, those that people know first.
func ownValues(h *Host) []value {
	var out []value
	add := func(name, text string, minor bool) {
		if text != "" {
			v := value{name, text, minor}
			v.minor = minor || follows(v, out)
			out = append(out, v)
		}
	}
	add("host", h.Host, false)
	add("BMC", h.BMC, false)
	add("ESXi", h.Address, false)
	if m := h.Machine; m != nil {
		add("serial", m.Serial, false)
		add("UUID", m.UUID, true)
	}
	for _, d := range disksOf(h) {
		add("disk serial", d.Serial, false)
		if kind, name, _ := strings.Cut(d.Wanted, " "); d.Unread && kind != "model" {
			add("disk "+kind, name, false)
		}
		for _, wwn := range d.WWN {
			add("disk WWN", wwn, false)
		}
	}
	said := h.Warnings
	if p := h.Problem; p != nil {
		add("place", p.At, true)
		said = append(slices.Clone(said), p.Summary, p.Detail, p.Next)
	}
	for _, c := range h.Changes {
		addMedium(add, "", c.Makes)
		addMedium(add, "old ", c.Replaces)
		addTokens(add, "token", c.New)
		addTokens(add, "old token", c.Old)
	}
	for _, mac := range macs.FindAllString(strings.Join(said, "\n"), -1) {
		add("NIC", mac, false)
	}
	return unique(out)
}

// disksOf are the disks that the host would lose, or may lose by its plan.
func disksOf(h *Host) []event.Disk {
	disks := h.Erases()
	if h.Machine != nil {
		disks = slices.Concat(disks, h.Machine.Disks)
	}
	return disks
}

var macs = regexp.MustCompile(`\b(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}\b`)

// token is the part of an image's URL that cannot be guessed.
var token = regexp.MustCompile(`/([0-9a-f]{8,})(?:/|$)`)

func addTokens(add func(name, text string, minor bool), name, url string) {
	for _, m := range token.FindAllStringSubmatch(url, -1) {
		add(name, m[1], true)
	}
}

// mediumValues are what a kickstart has of a host's own.
var mediumValues = []struct {
	name  string
	minor bool
	form  *regexp.Regexp
}{
	{"ESXi", false, regexp.MustCompile(`--ip='?([^'"\s]+)`)},
	{"NIC", false, regexp.MustCompile(`--device='?([^'"\s]+)`)},
	{"hostname", false, regexp.MustCompile(`--hostname='?([^'"\s]+)`)},
}

func addMedium(add func(name, text string, minor bool), prefix string, m *event.Medium) {
	if m == nil {
		return
	}
	for _, v := range mediumValues {
		if found := v.form.FindStringSubmatch(m.Kickstart); found != nil {
			add(prefix+v.name, found[1], v.minor)
		}
	}
}

// follows reports a hostname that is made of the host's name or an address, which people know.
func follows(v value, known []value) bool {
	return strings.HasSuffix(v.name, "hostname") && slices.ContainsFunc(known, func(k value) bool {
		return strings.Contains(v.text, k.text) || strings.Contains(v.text, dashes.Replace(k.text))
	})
}

var dashes = strings.NewReplacer(".", "-", ":", "-")

// unique numbers further values of a name, and leaves out values that have one.
func unique(values []value) (out []value) {
	named, count := map[string]bool{}, map[string]int{}
	for _, v := range values {
		if named[v.text] {
			continue
		}
		named[v.text] = true
		n := count[v.name]
		count[v.name]++
		if n > 0 {
			v.name = fmt.Sprint(v.name, " ", n+1)
		}
		out = append(out, v)
	}
	return out
}

// mapped is a copy of a host with every text replaced that may hold its own values. Names of
// virtual machines stay: hosts that run different ones are never joined.
func mapped(h *Host, replace func(string) string) *Host {
	out := *h
	for _, text := range []*string{&out.Host, &out.BMC, &out.Address, &out.Text} {
		*text = replace(*text)
	}
	if h.Machine != nil {
		m := *h.Machine
		m.Serial, m.UUID, m.Runs.Reason = replace(m.Serial), replace(m.UUID), replace(m.Runs.Reason)
		m.Disks = mappedDisks(m.Disks, replace)
		out.Machine = &m
	}
	if h.Problem != nil {
		p := *h.Problem
		p.Summary, p.Detail, p.Next, p.At = replace(p.Summary), replace(p.Detail), replace(p.Next), replace(p.At)
		out.Problem = &p
	}
	out.Changes = make([]event.Planned, len(h.Changes))
	for i, c := range h.Changes {
		out.Changes[i] = mappedChange(c, replace)
	}
	out.Open = slices.Clone(h.Open)
	for i := range out.Open {
		out.Open[i].What = replace(out.Open[i].What)
	}
	out.Warnings = replaceAll(h.Warnings, replace)
	return &out
}

func mappedChange(c event.Planned, replace func(string) string) event.Planned {
	c.Target, c.Old, c.New, c.Medium = replace(c.Target), replace(c.Old), replace(c.New), ""
	c.Makes, c.Replaces = mappedMedium(c.Makes, replace), mappedMedium(c.Replaces, replace)
	c.Erases = mappedDisks(c.Erases, replace)
	return c
}

func mappedDisks(disks []event.Disk, replace func(string) string) []event.Disk {
	out := slices.Clone(disks)
	for i := range out {
		d := &out[i]
		d.Wanted, d.Serial, d.Name, d.WWN = replace(d.Wanted), replace(d.Serial), replace(d.Name), replaceAll(d.WWN, replace)
	}
	return out
}

func mappedMedium(m *event.Medium, replace func(string) string) *event.Medium {
	if m == nil {
		return nil
	}
	return &event.Medium{Source: replace(m.Source), Kickstart: replace(m.Kickstart), Options: replaceAll(m.Options, replace)}
}

// replaceAll keeps nil and empty lists apart.
func replaceAll(texts []string, replace func(string) string) []string {
	out := slices.Clone(texts)
	for i := range out {
		out[i] = replace(out[i])
	}
	return out
}

// replacer replaces words: of those that begin at one place the longest, and none that is part
// of a longer word. It reads a text once.
func replacer(names map[string]string) func(string) string {
	byFirst := map[byte][]string{}
	for word := range names {
		byFirst[word[0]] = append(byFirst[word[0]], word)
	}
	for _, words := range byFirst {
		slices.SortFunc(words, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	}
	return func(text string) string {
		var b strings.Builder
		kept := 0
		for i := 0; i < len(text); {
			word := wordAt(text, i, byFirst[text[i]])
			if word == "" {
				i++
				continue
			}
			b.WriteString(text[kept:i] + names[word])
			i += len(word)
			kept = i
		}
		if kept == 0 {
			return text
		}
		return b.String() + text[kept:]
	}
}

// wordAt is the first of some words that begins at a place of a text, "" for none.
func wordAt(text string, i int, words []string) string {
	for _, w := range words {
		if strings.HasPrefix(text[i:], w) && isEdge(text, i-1, w[0]) && isEdge(text, i+len(w), w[len(w)-1]) {
			return w
		}
	}
	return ""
}

// isEdge reports that a word with this character at its edge ends where its neighbour stands.
func isEdge(text string, neighbour int, edge byte) bool {
	return neighbour < 0 || neighbour >= len(text) || !isWord(edge) || !isWord(text[neighbour])
}

func isWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}
