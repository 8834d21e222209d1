package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"

	"esxiplan/engine/bmc"
	"esxiplan/engine/event"
	"esxiplan/engine/step"
	"esxiplan/schema"
)

// pick is what was chosen for a host on the page.
type pick struct {
	Disk map[string]string `json:"disk"` // one of model, serial, wwn, name
	NIC  string            `json:"nic"`
}

func readPicks(path string) (map[string]pick, error) {
	if path == "" {
		return nil, nil
	}
	b, err := schema.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--picks: %w", err)
	}
	picks := map[string]pick{}
	if err := json.Unmarshal(b, &picks); err != nil {
		return nil, fmt.Errorf("--picks: %s is not what the page saves: %w", path, err)
	}
	for host, p := range picks {
		for kind := range p.Disk {
			if !slices.Contains([]string{"model", "serial", "wwn", "name"}, kind) {
				return nil, fmt.Errorf("--picks: %s names the disk of %s by %q; a plan takes model, serial, wwn or name", path, host, kind)
			}
		}
		if len(p.Disk) > 1 {
			return nil, fmt.Errorf("--picks: %s names the disk of %s in %d ways", path, host, len(p.Disk))
		}
	}
	return picks, nil
}

// addition is an argument that a host's block lacks.
type addition struct {
	block string // "" or "esxi"
	name  string
	value string // as it is written
	text  string // the same in a table; "" of what is no text
}

// path names the argument, such as "esxi.nic".
func (add addition) path() string { return strings.TrimPrefix(add.block+"."+add.name, ".") }

// complete writes what was found into the plan's files. What the plan says already
// stays; comments and order do, too. Nothing is written where the outcome would not parse.
func (a *app) complete(p *schema.Plan, found []machine, picks map[string]pick) error {
	files, tables := map[string]*hclwrite.File{}, tables{}
	changes := 0
	var shared []*schema.Host // whose blocks make others, too
	for _, m := range found {
		list := slices.DeleteFunc(additions(m, a.usable(m, picks[m.host.Name])), func(add addition) bool { return a.holdsSecret(m, add) })
		if len(list) == 0 {
			continue
		}
		if m.host.Origin() != nil {
			written := a.fillRow(tables, m.host, list)
			if changes += written; written < len(list) {
				shared = append(shared, m.host)
			}
			continue
		}
		body, err := hostBody(files, m.host)
		if err != nil {
			fmt.Fprintf(a.streams.Err, "%s: %v\n", m.host.Name, err)
			continue
		}
		for _, add := range list {
			add.write(body)
			changes++
			fmt.Fprintf(a.streams.Err, "%s: %s = %s\n", m.host.Name, add.name, add.value)
		}
	}
	if err := replaceFiles(files, tables); err != nil {
		return err
	}
	fmt.Fprintln(a.streams.Err, event.Count(changes, "argument")+" written")
	a.adviseShared(shared)
	return nil
}

// holdsSecret reports what a machine says instead of the truth, and leaves it out of the plan.
func (a *app) holdsSecret(m machine, add addition) bool {
	if a.secrets.MaskState(m.host.Name, add.value) == add.value {
		return false
	}
	fmt.Fprintf(a.streams.Err, "%s: %s is not written: what the BMC reports there holds a secret of the plan; look at the BMC's web page, and write it by hand\n", m.host.Name, add.name)
	return true
}

func (add addition) write(body *hclwrite.Body) {
	unfold(body)
	if add.block != "" {
		inner := body.FirstMatchingBlock(add.block, nil)
		if inner == nil {
			inner = body.AppendNewBlock(add.block, nil)
		}
		body = inner.Body()
		unfold(body)
	}
	body.SetAttributeRaw(add.name, hclwrite.Tokens{{Type: hclsyntax.TokenIdent, Bytes: []byte(add.value)}})
}

// replaceFiles writes the files, after all of them were read again.
func replaceFiles(files map[string]*hclwrite.File, tables tables) error {
	texts, err := tables.texts()
	if err != nil {
		return err
	}
	for name, file := range files {
		texts[name] = hclwrite.Format(file.Bytes())
		if _, diags := hclwrite.ParseConfig(texts[name], name, hcl.InitialPos); diags.HasErrors() {
			return fmt.Errorf("nothing was written: %s would no longer be a plan (%s); "+
				"bring its host blocks into the canonical format with esxiplan fmt, and report this", name, diags[0].Summary)
		}
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		errs = append(errs, replaceFile(name, texts[name]))
	}
	return errors.Join(errs...)
}

// unusedPicks says which picks are not used, and why.
func (a *app) unusedPicks(found []machine, picks map[string]pick) {
	read := map[string]bool{}
	for _, m := range found {
		read[m.host.Name] = m.err == nil
	}
	for _, host := range slices.Sorted(maps.Keys(picks)) {
		if ok, asked := read[host]; !asked {
			fmt.Fprintf(a.streams.Err, "%s: its pick is not used: --limit leaves the host out\n", host)
		} else if !ok {
			fmt.Fprintf(a.streams.Err, "%s: its pick is not used: the machine could not be read\n", host)
		}
	}
}

// ignored says why picks for a host would not be written, by "disk" and "nic". A BMC at an address
// belongs to no plan, and its picks may be written into any.
func ignored(h *schema.Host) map[string]string {
	why := map[string]string{}
	for _, what := range []string{"disk", "nic"} {
		switch {
		case h.Range.Filename == "":
		case h.ESXi == nil:
			why[what] = "the plan gives the host no esxi block"
		case !lacks(h, "esxi."+what):
			why[what] = "the plan names one" + inPlan(h.ESXi, what)
		}
	}
	return why
}

// inPlan is the disk or nic that a plan names, where it does not depend on the machine.
func inPlan(x *schema.ESXi, what string) string {
	switch {
	case what == "disk" && x.Disk != nil && !x.Disk.Deferred():
		return ", " + x.Disk.String()
	case what == "nic" && x.NIC != nil:
		return ", " + *x.NIC
	}
	return ""
}

// usable is a pick as far as the machine has what it names and the plan leaves it open.
func (a *app) usable(m machine, chosen pick) pick {
	skip := func(what, why string) {
		fmt.Fprintf(a.streams.Err, "%s: the picked %s is not used: %s\n", m.host.Name, what, why)
	}
	if m.err != nil {
		return pick{}
	}
	why := ignored(m.host)
	if len(chosen.Disk) > 0 {
		_, err := step.ResolveDisk(chosen.disk(), m.facts.Disks())
		switch {
		case why["disk"] != "":
			skip("disk", why["disk"])
		case err != nil:
			skip("disk", err.Error())
		}
		if err != nil {
			chosen.Disk = nil
		}
	}
	if chosen.NIC != "" {
		has := slices.ContainsFunc(m.facts.NICs, func(n bmc.NIC) bool { return strings.EqualFold(n.MAC, chosen.NIC) })
		switch {
		case why["nic"] != "":
			skip("nic", why["nic"])
		case !has:
			skip("nic", "the machine has no such port")
			chosen.NIC = ""
		}
	}
	return chosen
}

// disk is the picked disk as a plan names it.
func (p pick) disk() *schema.Disk {
	d := &schema.Disk{}
	for kind, text := range p.Disk {
		*map[string]**string{"model": &d.Model, "serial": &d.Serial, "wwn": &d.WWN, "name": &d.Name}[kind] = &text
	}
	return d
}

// additions are what the plan lacks and the machine reports.
func additions(m machine, chosen pick) []addition {
	if m.err != nil {
		return nil
	}
	var out []addition
	if lacks(m.host, "serial") && m.facts.Serial != "" {
		out = append(out, addition{"", "serial", schema.Literal(m.facts.Serial), m.facts.Serial})
	}
	if m.host.ESXi == nil {
		return out
	}
	if lacks(m.host, "esxi.disk") {
		disk := chosen.Disk
		if len(disk) == 0 {
			disk = onlyDisk(m.facts.Drives)
		}
		for kind, text := range disk { // one at the most
			out = append(out, addition{"esxi", "disk", "{ " + kind + " = " + schema.Literal(text) + " }", ""})
		}
	}
	if nic := cmp.Or(chosen.NIC, onlyNIC(m.facts.NICs)); nic != "" && lacks(m.host, "esxi.nic") {
		out = append(out, addition{"esxi", "nic", schema.Literal(nic), nic})
	}
	return out
}

// lacks reports that a host has no value for an argument. What a block says for several
// hosts may be empty for one of them.
func lacks(h *schema.Host, path string) bool {
	return !h.Says(path) || h.Origin() != nil && !h.Has(path)
}

// onlyDisk names the disk where there is no choice: the one behind a boot controller,
// or the only one.
func onlyDisk(disks []bmc.Disk) map[string]string {
	boot := slices.DeleteFunc(slices.Clone(disks), func(d bmc.Disk) bool { return !d.Boot })
	choice := disks
	if len(boot) == 1 {
		choice = boot
	}
	if len(choice) != 1 {
		return nil
	}
	return choiceOf(choice[0], disks)
}

// choiceOf is how a plan names a disk; nil where nothing distinguishes it from the others.
func choiceOf(d bmc.Disk, all []bmc.Disk) map[string]string {
	argument, value := d.Selector(all)
	if argument == "" {
		return nil
	}
	return map[string]string{argument: value}
}

// onlyNIC is the one port whose link is up.
func onlyNIC(nics []bmc.NIC) string {
	up := slices.DeleteFunc(slices.Clone(nics), func(n bmc.NIC) bool { return n.Link != "LinkUp" })
	if len(up) != 1 {
		return ""
	}
	return up[0].MAC
}

// hostBody finds a host's block in the plan's files.
func hostBody(files map[string]*hclwrite.File, h *schema.Host) (*hclwrite.Body, error) {
	name := h.Range.Filename
	if files[name] == nil {
		source, err := schema.ReadFile(name)
		if err != nil {
			return nil, err
		}
		file, diags := hclwrite.ParseConfig(source, name, hcl.InitialPos)
		if diags.HasErrors() {
			return nil, diags
		}
		files[name] = file
	}
	for _, group := range files[name].Body().Blocks() {
		if group.Type() != "group" || !slices.Equal(group.Labels(), []string{h.Group}) {
			continue
		}
		for _, host := range group.Body().Blocks() {
			if host.Type() == "host" && slices.Equal(host.Labels(), []string{h.Name}) {
				return host.Body(), nil
			}
		}
	}
	return nil, fmt.Errorf("%s has no block of its own for it, so nothing was written", name)
}

// unfold gives a block on a single line, which holds one argument at the most, a line
// for each, comments included.
func unfold(body *hclwrite.Body) {
	tokens := body.BuildTokens(nil)
	if bytes.Contains(tokens.Bytes(), []byte("\n")) {
		return
	}
	arguments := body.Attributes()
	for name := range arguments {
		body.RemoveAttribute(name)
	}
	body.Clear()
	body.AppendNewline()
	if len(arguments) > 0 {
		body.AppendUnstructuredTokens(tokens)
		body.AppendNewline()
	}
}
