package kickstart

import (
	"fmt"
	"strings"
)

// Abbreviate omits the functions that find a disk from a script that is shown to people: they
// are the same on every medium. It recognises them by their whole text, so that nothing else
// can hide there.
// Which disks are looked for, and what is done with them, stays.
func Abbreviate(script string) string {
	return strings.ReplaceAll(script, findDisk, fmt.Sprintf("# … (%d lines that find a disk, or stop the installation)\n", strings.Count(findDisk, "\n")))
}
