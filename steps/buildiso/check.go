package buildiso

import (
	"strings"

	"esxiplan/engine/media"
	"esxiplan/engine/media/kickstart"
	"esxiplan/schema"
)

// check judges the arguments together with the host's esxi block, without the machine.
func (c Arguments) check(x *schema.ESXi) error {
	if err := c.checkKernelOptions(); err != nil {
		return err
	}
	if c.Kickstart != nil {
		return c.checkOwn(c.planned(x))
	}
	if c.UncheckedDisks {
		return schema.AtArgument("unchecked_disks", "unchecked_disks belongs to a kickstart of your own; "+
			"the generated one writes to the plan's disks only. Where a script only reads a disk, write # esxiplan:ignore script-disk on its line")
	}
	return c.checkGenerated(c.planned(x))
}

func (c Arguments) checkKernelOptions() error {
	for _, option := range c.KernelOptions {
		if name, _, _ := strings.Cut(option, "="); strings.EqualFold(name, "systemMediaSize") {
			return schema.AtArgument("kernel_options", "kernel option %q has an argument of its own: "+
				"system_media_size, which is checked against the image's version", option)
		}
	}
	if err := media.CheckOptions(c.KernelOptions); err != nil {
		return schema.AtArgument("kernel_options", "%w", err)
	}
	return nil
}

// planned are the disks that the question and the guards know. With unchecked_disks the
// user has checked what cannot be compared with them.
func (c Arguments) planned(x *schema.ESXi) kickstart.Planned {
	p := kickstart.Planned{Disk: disk(x.Disk), Unchecked: c.UncheckedDisks}
	for _, d := range x.Wipe {
		p.Wipe = append(p.Wipe, disk(&d))
	}
	return p
}

// checkGenerated judges what is added to the generated kickstart.
func (c Arguments) checkGenerated(p kickstart.Planned) error {
	for _, line := range c.Commands {
		if err := kickstart.CheckCommand(line); err != nil {
			return schema.AtArgument("commands", "%w", err)
		}
	}
	if found := p.CheckCommands(c.Commands); len(found) > 0 {
		f := found[0]
		return schema.AtArgument("commands", "%q: %s [%s]. %s %s", c.Commands[f.Line-1], f.Text, f.Rule, f.Reason, f.Remedy)
	}
	for _, script := range []struct {
		argument string
		text     *string
	}{{"pre", c.Pre}, {"post", c.Post}, {"firstboot", c.Firstboot}} {
		if err := kickstart.CheckSection(script.argument, deref(script.text)); err != nil {
			return schema.AtArgument(script.argument, "%w", err)
		}
		if found := p.CheckSection(deref(script.text)); len(found) > 0 {
			f := found[0]
			return schema.AtArgument(script.argument, "line %d, column %d of the %s script: %s [%s]. %s %s", f.Line, f.Column, script.argument, f.Text,
				f.Rule, f.Reason, f.Remedy)
		}
	}
	return nil
}

// checkOwn refuses what has no effect with a kickstart that the user supplies, and one that
// writes to other disks than the plan names.
func (c Arguments) checkOwn(p kickstart.Planned) error {
	for _, other := range []struct {
		name  string
		given bool
	}{
		{"keyboard", c.Keyboard != nil}, {"commands", len(c.Commands) > 0}, {"pre", c.Pre != nil}, {"post", c.Post != nil},
		{"firstboot", c.Firstboot != nil}, {"ssh", c.SSH}, {"overwrite_vsan", c.OverwriteVSAN}, {"dry_run", c.DryRun},
	} {
		if other.given {
			return schema.AtArgument(other.name, "%s belongs to the generated kickstart; with a kickstart of your own write it there", other.name)
		}
	}
	if *c.Kickstart == "" {
		return schema.AtArgument("kickstart", "the kickstart is empty")
	}
	found := kickstart.Errors(kickstart.Lint([]byte(*c.Kickstart), kickstart.Conditions{RootPassword: true, Planned: &p}))
	if len(found) > 0 {
		return schema.AtArgument("kickstart", "%w", &media.ErrKickstart{Findings: found})
	}
	return nil
}
