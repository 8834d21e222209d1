package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sort"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"esxiplan/engine/bmc"
	"esxiplan/schema"
)

// pick is what somebody chose for a host on the page.
type pick struct {
	Disk map[string]string `json:"disk"` // one of model, serial, wwn, name
	NIC  string            `json:"nic"`
}

func readPicks(path string) (map[string]pick, error) {
	if path == "" {
		return nil, nil
	}
	b, err := os.ReadFile(path)
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
}

// complete writes what was found into the plan's files. What the plan says already
// stays; comments and order do, too.
func (a *app) complete(p *schema.Plan, found []machine, picksFile string) error {
	picks, err := readPicks(picksFile)
	if err != nil {
		return err
	}
	files := map[string]*hclwrite.File{}
	for host := range picks {
		if _, ok := p.Host(host); !ok {
			return fmt.Errorf("--picks: the plan has no host %q", host)
		}
	}
	changes := 0
	for _, m := range found {
		list := additions(m, picks[m.host.Name])
		if len(list) == 0 {
			continue
		}
		body, err := hostBody(p, files, m.host)
		if err != nil {
			fmt.Fprintf(a.streams.Err, "%s: %v\n", m.host.Name, err)
			continue
		}
		for _, add := range list {
			at := body
			if add.block != "" {
				unfold(body)
				if at = blockBody(body, add.block); at == nil {
					at = body.AppendNewBlock(add.block, nil).Body()
				}
			}
			at.SetAttributeRaw(add.name, hclwrite.Tokens{{Type: hclsyntax.TokenIdent, Bytes: []byte(add.value)}})
			changes++
			fmt.Fprintf(a.streams.Err, "%s: %s = %s\n", m.host.Name, add.name, add.value)
		}
	}
	fmt.Fprintf(a.streams.Err, "%d arguments written\n", changes)
	return replaceFiles(files)
}

func replaceFiles(files map[string]*hclwrite.File) error {
	var names []string
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)
	var errs []error
	for _, name := range names {
		errs = append(errs, replaceFile(name, hclwrite.Format(files[name].Bytes())))
	}
	return errors.Join(errs...)
}

// additions are what the plan lacks and the machine tells.
func additions(m machine, chosen pick) []addition {
	if m.err != nil {
		return nil
	}
	var out []addition
	if m.host.Serial == "" && m.facts.Serial != "" {
		out = append(out, addition{"", "serial", quoted(m.facts.Serial)})
	}
	if m.host.ESXi == nil {
		return out
	}
	if disk := chosen.Disk; m.host.ESXi.Disk == nil {
		if len(disk) == 0 {
			disk = onlyDisk(m.facts.Drives)
		}
		for kind, text := range disk { // one at the most
			out = append(out, addition{"esxi", "disk", "{ " + kind + " = " + quoted(text) + " }"})
		}
	}
	if nic := chosen.NIC; m.host.ESXi.NIC == nil {
		if nic == "" {
			nic = onlyNIC(m.facts.NICs)
		}
		if nic != "" {
			out = append(out, addition{"esxi", "nic", quoted(nic)})
		}
	}
	return out
}

// quoted writes a string of the language.
func quoted(text string) string {
	return string(hclwrite.TokensForValue(cty.StringVal(text)).Bytes())
}

// onlyDisk names the disk where there is no choice: the one behind a boot controller,
// or the only one.
func onlyDisk(disks []bmc.Disk) map[string]string {
	boot := slices.DeleteFunc(slices.Clone(disks), func(d bmc.Disk) bool { return !d.Boot })
	switch {
	case len(boot) == 1:
		disks = boot
	case len(disks) != 1:
		return nil
	}
	switch d := disks[0]; {
	case d.Boot && d.Volume && d.Model != "":
		return map[string]string{"model": d.Model}
	case d.Serial != "" && !d.Volume:
		return map[string]string{"serial": d.Serial}
	case len(d.WWN) > 0:
		return map[string]string{"wwn": d.WWN[0]}
	}
	return nil
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
func hostBody(p *schema.Plan, files map[string]*hclwrite.File, h *schema.Host) (*hclwrite.Body, error) {
	name := h.Range.Filename
	if files[name] == nil {
		source, err := os.ReadFile(name)
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

func blockBody(body *hclwrite.Body, name string) *hclwrite.Body {
	b := body.FirstMatchingBlock(name, nil)
	if b == nil {
		return nil
	}
	unfold(b.Body())
	return b.Body()
}

// unfold gives a block on a single line, which holds one argument at the most, a line
// for each.
func unfold(body *hclwrite.Body) {
	if bytes.Contains(body.BuildTokens(nil).Bytes(), []byte("\n")) {
		return
	}
	arguments := map[string]hclwrite.Tokens{}
	for name, attr := range body.Attributes() {
		arguments[name] = attr.Expr().BuildTokens(nil)
		body.RemoveAttribute(name)
	}
	body.Clear()
	body.AppendNewline()
	for name, tokens := range arguments {
		body.SetAttributeRaw(name, tokens)
	}
}
