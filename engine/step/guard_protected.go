package step

import "esxiplan/schema"

// CheckProtected refuses every write to a host that the plan protects. Runs that write
// leave such hosts out; this is for whatever comes all the same.
func CheckProtected(d *schema.Host) error {
	if !d.Protected {
		return nil
	}
	return &Refusal{"protected", "the plan says protected = true for this host", "Remove protected where the host may be changed"}
}
