package kickstart

import (
	"fmt"
	"strings"
)

// Abbreviate leaves out of a script, for people, the functions that find a disk: they are the
// same on every medium. They are known by their whole text, so that nothing else hides there.
// Which disks are looked for, and what is done with them, stays.
func Abbreviate(script string) string {
	return strings.ReplaceAll(script, findDisk, fmt.Sprintf("# … (%d lines that find a disk, or stop the installation)\n", strings.Count(findDisk, "\n")))
}
