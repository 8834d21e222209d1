package step

import "esxiplan/engine/bmc"

// CheckConsent demands that somebody agreed before a machine is restarted into an
// installer, or before the power of one is changed that is on, or might be.
func CheckConsent(s Settings, power bmc.PowerState, installs bool) error {
	switch {
	case installs && s.Consent.Wipe, !installs && s.Consent.Stop:
		return nil
	case installs:
		return &Refusal{"consent", "this restart would boot what is mounted or set for it, and nobody was asked whether that may wipe the machine",
			"Run it again with --yes"}
	case power != bmc.Off:
		return &Refusal{"consent", "the machine is on (power state " + string(power) + "), and nobody was asked whether what runs on it may be stopped",
			"Run it again with --yes"}
	}
	return nil
}
