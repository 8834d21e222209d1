package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/log"
	stored "esxiplan/engine/state"
)

// TestRunsPrune: what prune says of the logs of old runs, on both streams.
func TestRunsPrune(t *testing.T) {
	dir := t.TempDir()
	state := filepath.Join(dir, "my state")
	old := time.Now().Add(-100 * 24 * time.Hour)
	for run, kinds := range map[string][]event.Kind{"killed": {event.HostStarted}, "done": {event.HostStarted, event.HostDone, event.RunDone}, "killed-late": {event.HostStarted, event.HostDone}} {
		l, err := log.Open(state, run, log.Options{})
		if err != nil {
			t.Fatal(err)
		}
		host := "h-" + run
		err = l.Keep(log.Record{Event: event.Event{Kind: log.StageStarted, Time: old}, Stage: &log.Stage{Number: 1, Plan: "lab", Hosts: []string{host}, Steps: []string{"s"}}})
		for _, kind := range kinds {
			e := event.Event{Kind: kind, Time: old}
			if kind == event.RunDone {
				e.Summary = &event.Summary{}
			} else {
				e.Host, e.Status = host, event.OK
			}
			if err == nil {
				err = l.Note(e)
			}
		}
		if err != nil || l.Close() != nil {
			t.Fatal(err)
		}
	}
	screen, err := stored.KeepScreen(state, "h", old, []byte("PNG"))
	if err == nil {
		err = os.Chtimes(screen, old, old)
	}
	if err != nil {
		t.Fatal(err)
	}
	prune := func(args ...string) (stdout, stderr string) {
		t.Helper()
		c := exec.Command(os.Args[0], append([]string{"runs", "prune", "--state", state}, args...)...)
		var problems strings.Builder
		c.Dir, c.Env, c.Stderr = dir, append(os.Environ(), "ESXIPLAN_AS_COMMAND=1"), &problems
		out, err := c.Output()
		if err != nil {
			t.Fatal(err, problems.String())
		}
		return string(out), problems.String()
	}
	const kept = "kept killed: can be resumed with esxiplan run PLAN --state '"
	out, notes := prune("--dry-run")
	if !strings.HasPrefix(out, "would remove done, which ended ") || !strings.Contains(out, "would remove killed-late, which was killed after ") ||
		!strings.HasSuffix(out, "would remove 1 image of machines' screens\n") || !strings.HasPrefix(notes, kept) {
		t.Errorf("%s%s", out, notes)
	}
	if out, notes = prune("--json"); !strings.Contains(out, `"run": "done"`) || strings.Contains(out, `"run": "killed"`) || !strings.HasPrefix(notes, kept) {
		t.Errorf("%s%s", out, notes)
	}
	if out, notes = prune("site.hcl"); out != "nothing to remove\n" || exists(screen) || !strings.HasSuffix(notes, " site.hcl --state '"+state+"' --run killed --resume\n") {
		t.Errorf("%s%s", out, notes)
	}
	if out, _ = prune("--json"); out != "[]\n" {
		t.Errorf("%s", out)
	}
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
