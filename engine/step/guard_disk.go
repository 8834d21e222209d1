package step

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"esxiplan/engine/bmc"
	"esxiplan/schema"
)

// CheckDisk demands that the plan's disk, and each one to clear, is exactly one that the
// BMC reports, or is taken at the plan's word (confirm = false) and cannot be remote.
func CheckDisk(ctx context.Context, x *schema.ESXi, c bmc.Reader) error {
	if x == nil || x.Disk == nil {
		return &Refusal{"disk", "the plan names no disk for this host", "Give esxi.disk"}
	}
	if x.Disk.Deferred() {
		return &Refusal{"disk", "the disk is to be chosen by the machine's facts, and they were not read", "This is a bug in esxiplan; please report it"}
	}
	doubted, trusted := byConfirmation(x)
	if len(trusted) > 0 {
		n, err := c.Network(ctx)
		if err != nil {
			return err
		}
		if err := CheckRemote(x, n.SAN, nil); err != nil {
			return err
		}
	}
	if len(doubted) == 0 {
		return nil
	}
	stock, err := c.Inventory(ctx)
	if err != nil {
		return err
	}
	if stock.Unread != nil { // it is retried, as the request that failed may be
		return fmt.Errorf("the disk %s cannot be confirmed, because the machine's storage is unknown: %w; or accept the risk with confirm = false", doubted[0], stock.Unread)
	}
	return resolveAll(doubted, stock.Disks)
}

// byConfirmation parts the disks that an installation overwrites into those that the BMC
// must confirm and those, not local by their name, that it need not.
func byConfirmation(x *schema.ESXi) (doubted, trusted []*schema.Disk) {
	if x == nil || x.Disk == nil {
		return nil, nil
	}
	for _, d := range append([]schema.Disk{*x.Disk}, x.Wipe...) {
		switch {
		case d.Confirm == nil || *d.Confirm:
			doubted = append(doubted, &d)
		case d.Name == nil || !strings.HasPrefix(*d.Name, "mpx."): // such names have only local disks
			trusted = append(trusted, &d)
		}
	}
	return doubted, trusted
}

// DiskNames are the disks that an installation overwrites, in the words of the plan.
func DiskNames(x *schema.ESXi) []string {
	if x == nil || x.Disk == nil {
		return nil
	}
	names := []string{x.Disk.String()}
	for _, d := range x.Wipe {
		names = append(names, "cleared: "+d.String())
	}
	return names
}

// resolveAll finds each disk, and no disk twice.
func resolveAll(wanted []*schema.Disk, disks []bmc.Disk) error {
	var found []bmc.Disk
	for _, want := range wanted {
		d, err := ResolveDisk(want, disks)
		if err != nil {
			return err
		}
		for _, other := range found {
			if d.Name == other.Name && d.Serial == other.Serial && slices.Equal(d.WWN, other.WWN) {
				return &Refusal{"disk", want.String() + " is a disk that the plan names twice: " + describe([]bmc.Disk{d}, disks), "Correct esxi.disk and esxi.wipe"}
			}
		}
		found = append(found, d)
	}
	return nil
}

// ResolveDisk finds the one device that the plan's disk names among those that the BMC
// reports.
func ResolveDisk(want *schema.Disk, disks []bmc.Disk) (bmc.Disk, error) {
	if disks == nil {
		return bmc.Disk{}, &Refusal{"disk", "the BMC reports no storage, so it cannot confirm the disk " + want.String(),
			"Power the machine on once so that the BMC sees its storage, or accept the risk with confirm = false"}
	}
	seen, hidden := bmc.Seen(disks)
	found := matching(want, seen)
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		if members := matching(want, hidden); len(members) > 0 {
			return bmc.Disk{}, &Refusal{"disk", fmt.Sprintf("ESXi does not see %s: %s", want, describe(members, disks)), "Name one that it sees: " + describe(seen, disks)}
		}
		return bmc.Disk{}, &Refusal{"disk", "no disk of this machine matches " + want.String() + "; it has " + describe(seen, disks), "Correct esxi.disk"}
	}
	return bmc.Disk{}, &Refusal{"disk", fmt.Sprintf("%d disks of this machine match %s: %s", len(found), want, describe(found, disks)), "Name the disk by serial or wwn"}
}

// matching are the disks that a plan's disk names.
func matching(want *schema.Disk, disks []bmc.Disk) (out []bmc.Disk) {
	for _, d := range disks {
		if matches(want, d) {
			out = append(out, d)
		}
	}
	return out
}

func matches(want *schema.Disk, d bmc.Disk) bool {
	kind, text := want.Key()
	switch kind {
	case "model":
		return sameModel(text, d.Model)
	case "serial":
		return d.Serial != "" && strings.EqualFold(strings.TrimSpace(text), d.Serial)
	case "wwn":
		return slices.Contains(d.WWN, plainWWN(text))
	case "name":
		return slices.Contains(d.WWN, plainWWN(text))
	}
	return false
}

// sameModel compares models. ESXi cuts SCSI models to 16 characters, so a plan
// written from ESXi's view may hold the beginning only.
func sameModel(want, have string) bool {
	want, have = strings.ToLower(strings.TrimSpace(want)), strings.ToLower(strings.TrimSpace(have))
	return want != "" && (want == have || len(want) == 16 && strings.HasPrefix(have, want))
}

// Nameless tells why the installer may not find disks that the plan names by a serial number:
// it looks for that in the names that ESXi gives to disks, and those of SAS disks and of
// volumes hold a WWN instead.
func Nameless(x *schema.ESXi, disks []bmc.Disk) (warnings []string) {
	for _, want := range bySerial(x) {
		i := slices.IndexFunc(disks, func(d bmc.Disk) bool { return matches(&want, d) })
		switch {
		case i < 0:
			warnings = append(warnings, fmt.Sprintf("the BMC does not report the disk %s. The installer finds it only if ESXi shows the serial number in the disk's name (t10.…), "+
				"as it does for SATA and NVMe, not for SAS or volumes; name or wwn are found for all", want.String()))
		case disks[i].Protocol == "SAS" || disks[i].Volume:
			warnings = append(warnings, fmt.Sprintf("the installer will not find the disk %s by its serial number: ESXi names it by its WWN (naa.…). %s", want.String(), byWWN(disks[i])))
		}
	}
	return warnings
}

// bySerial are the disks that the plan names by their serial number.
func bySerial(x *schema.ESXi) []schema.Disk {
	if x == nil || x.Disk == nil {
		return nil
	}
	return slices.DeleteFunc(append([]schema.Disk{*x.Disk}, x.Wipe...), func(d schema.Disk) bool { return d.Serial == nil })
}

// byWWN is how a plan names a disk that ESXi names by its WWN.
func byWWN(d bmc.Disk) string {
	if len(d.WWN) > 0 {
		return fmt.Sprintf("Name it by wwn = %q", d.WWN[0])
	}
	return "The BMC reports no WWN: read it in a running ESXi, or name the disk by its model, if no other has the same"
}

func plainWWN(text string) string {
	text = strings.ToLower(text)
	for _, prefix := range []string{"naa.", "eui.", "0x"} {
		text = strings.TrimPrefix(text, prefix)
	}
	return strings.NewReplacer(":", "", "-", "", " ", "").Replace(text)
}

// describe lists disks, and how a plan can name each; all are those of the machine.
func describe(disks, all []bmc.Disk) string {
	if len(disks) == 0 {
		return "none"
	}
	var out []string
	for _, d := range disks {
		out = append(out, what(d)+how(d, all))
	}
	return strings.Join(out, "; ")
}

// what a disk is, such as "MZ7KH480 serial S1, 480 GB, hot spare".
func what(d bmc.Disk) string {
	text := cmp.Or(d.Model, d.Name, "a disk without a name")
	if d.Serial != "" {
		text += " serial " + d.Serial
	}
	if d.Volume && d.Model != "" {
		text += ", volume " + d.Name
	}
	for _, more := range []string{d.RAID, d.Size(), d.State} {
		if more != "" {
			text += ", " + more
		}
	}
	return text
}

// how a plan names a disk, ready to be put into it.
func how(d bmc.Disk, all []bmc.Disk) string {
	switch argument, value := d.Selector(all); {
	case argument != "":
		return fmt.Sprintf(": disk = { %s = %s }", argument, schema.Literal(value))
	case d.Hidden():
		return ""
	}
	return ", which nothing that the BMC reports tells from the others: name it as ESXi does, with confirm = false"
}
