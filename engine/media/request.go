package media

import "esxiplan/engine/media/kickstart"

// Installs reports whether a machine that boots the medium is installed: a kickstart with
// dryrun makes the installer check everything and write nothing.
func (r Request) Installs() bool {
	if r.Own != "" {
		return !kickstart.HasDryRun(r.Own)
	}
	return !r.Script.DryRun
}
