package log

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"esxiplan/engine/private"
)

// planSuffix is that of the saved plan which a run applied. It lies next to the log.
const planSuffix = ".plan"

// KeepPlan keeps the saved plan that a run applies, so that reports can show it later. [Prune]
// removes it with the log. That of a run which is continued stays.
func KeepPlan(state, run string, saved []byte) error {
	if err := CheckName(run); err != nil {
		return err
	}
	runs, err := private.MakeSub(state, runsFolder)
	if err != nil {
		return err
	}
	defer runs.Close()
	if err := private.Create(runs, run+planSuffix, saved); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// PlanFile is the file of the saved plan that a run applied, "" where it applied none.
func PlanFile(state, run string) string {
	name := filepath.Join(runsDir(state), run+planSuffix)
	if info, err := os.Lstat(name); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	return name
}

func removePlan(state, run string) error {
	err := os.Remove(filepath.Join(runsDir(state), run+planSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
