package step

// CheckSecureBoot refuses a kickstart with parts for the first boot where Secure Boot is
// on (nil: not known): ESXi skips them without an error.
func CheckSecureBoot(on *bool) error {
	if on == nil || !*on {
		return nil
	}
	return &Refusal{"secure boot", "Secure Boot is on, and ESXi then skips what firstboot and ssh would do: the host would look installed and not be configured",
		"Turn Secure Boot off, or leave firstboot and ssh out and configure the host through its API"}
}
