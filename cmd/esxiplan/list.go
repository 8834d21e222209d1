package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"esxiplan/engine/survey"
	"esxiplan/schema"
)

// listable is what list lists.
var listable = []string{"hosts", "steps", "tags", "vars"}

func (a *app) listCommand() *cobra.Command {
	f := &planFlags{}
	var asJSON bool
	c := &cobra.Command{
		Use:   "list (hosts|steps|tags|vars) PLAN…",
		Short: "List what is in a plan",
		Long: `List the hosts of a plan with their addresses and disks, its steps with their types, its tags with the
steps that have them, or its variables and where their values come from. --tags and --limit choose, as for a run.`,
		Example: "  esxiplan list hosts site.hcl --limit rack7\n  esxiplan list steps site.hcl --tags reboot\n  esxiplan list tags site.hcl --json",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			rows, err := a.listRows(args[0], args[1:], f)
			if err != nil {
				return err
			}
			if asJSON {
				encoder := json.NewEncoder(a.streams.Out)
				encoder.SetIndent("", "  ")
				return encoder.Encode(rows)
			}
			a.printRows(rows)
			return nil
		},
	}
	f.add(c)
	f.addSelection(c)
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return c
}

func (a *app) listRows(what string, paths []string, f *planFlags) ([]listRow, error) {
	made := &secrets{}
	p, err := a.load(paths, f, made.secret)
	if err != nil {
		return nil, err
	}
	var rows []listRow
	if d := p.Within(func() { rows, err = a.rowsOf(what, p, f) }); d != nil {
		return nil, a.report(p, hcl.Diagnostics{d})
	}
	return rows, err
}

// rowsOf lists what is in a plan.
func (a *app) rowsOf(what string, p *schema.Plan, f *planFlags) ([]listRow, error) {
	s, diags := survey.New(p, stepTypes(), survey.Options{Choice: f.choice, DryRun: true})
	if err := a.report(p, selectionOnly(diags)); err != nil {
		return nil, err
	}
	rows := []listRow{}
	switch what {
	case "hosts":
		made := slices.ContainsFunc(s.Hosts(), func(h *schema.Host) bool { return h.Origin() != nil })
		for _, h := range s.Hosts() {
			row := hostRow(h)
			if made {
				row = append(row, [2]string{"origin", origin(h)})
			}
			rows = append(rows, row)
		}
	case "steps":
		for _, s := range s.Steps() {
			rows = append(rows, listRow{{"name", s.Name}, {"type", s.Type}, {"tags", strings.Join(s.Policy.Tags, ",")}, {"groups", strings.Join(s.Policy.Groups, ",")}})
		}
	case "tags":
		for _, tag := range survey.Tags(p) {
			var steps, types []string
			for _, s := range p.Steps {
				if slices.Contains(s.Policy.Tags, tag) {
					steps, types = append(steps, s.Name), append(types, s.Type)
				}
			}
			rows = append(rows, listRow{{"tag", tag}, {"steps", strings.Join(steps, ",")}, {"types", strings.Join(types, ",")}})
		}
	case "vars":
		for _, v := range p.Variables {
			value := schema.Hidden
			if !v.Sensitive {
				value = schema.Text(v.Value)
			}
			rows = append(rows, listRow{{"name", v.Name}, {"value", value}, {"origin", v.Origin}, {"description", v.Description}})
		}
	default:
		return nil, fmt.Errorf("list takes hosts, steps, tags or vars, not %q", what)
	}
	return rows, nil
}

// selectionOnly keeps what concerns the selection itself: a list must also work
// where the selected steps could not run.
func selectionOnly(diags hcl.Diagnostics) hcl.Diagnostics {
	return slices.DeleteFunc(diags, func(d *hcl.Diagnostic) bool { return d.Subject != nil || d.Summary == "Nothing to run" })
}

// origin is the row or range that made a host; "" where the host has a block of its own.
func origin(h *schema.Host) string {
	if o := h.Origin(); o != nil {
		return o.Short()
	}
	return ""
}

func hostRow(h *schema.Host) listRow {
	row := listRow{{"name", h.Name}, {"group", h.Group}, {"vendor", h.Vendor}, {"bmc", h.BMC.Address.String()}, {"serial", h.Serial}, {"esxi", ""}, {"disk", ""}}
	if h.ESXi != nil {
		row[5][1] = h.ESXi.Address
		if h.ESXi.Disk != nil {
			row[6][1] = h.ESXi.Disk.String()
		}
	}
	return row
}
