package state

import (
	"fmt"

	"esxiplan/engine/private"
)

// Make makes the state folder, which no other user may read, or checks the one that
// exists. The error says what to do.
func Make(dir string) error {
	if err := private.MakeFolder(dir); err != nil {
		return fmt.Errorf("state folder: %w; choose another with --state", err)
	}
	return nil
}
