package local

import (
	"fmt"
	"os"
	"runtime"
)

// panicked reports a bug in what was being done: one line for people. The trace, and what the
// panic says, which may hold data of the plan, go into a file that only its owner can read.
func (w *Worker) panicked(what string, reason any, stack []byte) string {
	file, err := SaveTrace(fmt.Sprintf("%s, %s/%s: %s", runtime.Version(), runtime.GOOS, runtime.GOARCH, what), reason, stack, w.Mask)
	if err != nil {
		file = fmt.Sprintf("(not saved: %v)", err)
	}
	return fmt.Sprintf("%s panicked. This is a bug in esxiplan; please report it with the output of esxiplan version, and the trace in %s", what, file)
}

// SaveTrace writes the trace of a panic into a new file in the folder for temporary files,
// readable by its owner only, and returns the file's name. mask takes secrets out; nil does
// nothing.
func SaveTrace(about string, reason any, stack []byte, mask func(string) string) (string, error) {
	f, err := os.CreateTemp("", "esxiplan-panic-*.txt")
	if err != nil {
		return "", err
	}
	defer f.Close()
	text := fmt.Sprintf("%s\n\npanic: %v\n\n%s", about, reason, stack)
	if mask != nil {
		text = mask(text)
	}
	_, err = f.WriteString(text)
	return f.Name(), err
}
