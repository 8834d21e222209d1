package log_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/log"
)

// history writes the log of a run of a plan, hour by hour: a word each.
func history(t *testing.T, state, run, plan string, from int, words string) {
	t.Helper()
	l, err := log.Open(state, run, log.Options{Machine: func(host string) string { return "bmc of " + strings.TrimPrefix(host, "same-") }})
	check(t, err)
	at := noon.Add(time.Duration(from) * time.Hour)
	for word := range strings.FieldsSeq(words) {
		what, of, _ := strings.Cut(word, ":")
		e := event.Event{Time: at}
		switch what {
		case "stage", "do":
			e.Kind = log.StageStarted
			check(t, l.Keep(log.Record{Event: e, Stage: &log.Stage{Number: 1, Plan: plan, AdHoc: what == "do", Hosts: strings.Split(of, ","), Steps: []string{"s"}}}))
			continue
		case "begins":
			e.Kind, e.Host = event.HostStarted, of
		case "ends":
			e.Kind, e.Host, e.Status = event.HostDone, of, event.OK
		case "mounts":
			change(t, l, of, at, mounts)
			continue
		case "interrupted":
			e.Kind, e.Summary = event.RunDone, &event.Summary{Interrupted: true}
		case "done":
			e.Kind, e.Summary = event.RunDone, &event.Summary{}
		default:
			t.Fatalf("no word %q", word)
		}
		check(t, l.Note(e))
	}
	check(t, l.Close())
}

func runNames(infos []log.Info) string {
	names := []string{}
	for _, i := range infos {
		names = append(names, i.Run)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// TestPruneUnfinished: an old run that did not end is kept while it can be resumed, and
// removed once later runs have taken up what it left. Each case is a run r of hosts a and b,
// and what came later.
func TestPruneUnfinished(t *testing.T) {
	const killed = "stage:a,b begins:a begins:b ends:a"
	for name, c := range map[string]struct {
		run   string
		later [][2]string // plan, words
		want  string      // of r
	}{
		"killed":                              {killed, nil, "resumable"},
		"killed at once":                      {"stage:a,b", nil, "resumable"},
		"killed after its last host":          {killed + " ends:b", nil, "removed"},
		"interrupted":                         {killed + " interrupted", nil, "resumable"},
		"one step by hand":                    {"do:a begins:a", nil, "removed"},
		"taken up":                            {killed, [][2]string{{"lab", "stage:b begins:b ends:b done"}}, "removed"},
		"interrupted and taken up":            {killed + " interrupted", [][2]string{{"lab", "stage:b begins:b ends:b done"}}, "removed"},
		"taken up by another plan":            {killed, [][2]string{{"other", "stage:same-b begins:same-b ends:same-b done"}}, "removed"},
		"not begun, and taken up":             {"stage:a,b", [][2]string{{"lab", "stage:a,b begins:a begins:b done"}}, "removed"},
		"a host of that name in another plan": {"stage:a", [][2]string{{"other", "stage:a begins:a ends:a done"}}, "resumable"},
		"another host later":                  {killed, [][2]string{{"lab", "stage:a begins:a ends:a done"}}, "resumable"},
		"half of it taken up":                 {"stage:a,b begins:a begins:b", [][2]string{{"lab", "stage:a begins:a ends:a done"}}, "resumable"},
		"taken up in two runs":                {"stage:a,b begins:a begins:b", [][2]string{{"lab", "stage:a begins:a done"}, {"lab", "stage:b begins:b done"}}, "removed"},
		"a later run that did not come to it": {killed, [][2]string{{"lab", "stage:b done"}}, "resumable"},
		"a step by hand later":                {killed, [][2]string{{"lab", "do:b begins:b ends:b done"}}, "resumable"},
		"its image is mounted":                {killed + " mounts:b", [][2]string{{"lab", "stage:b begins:b ends:b done"}}, "kept"},
		"another run's image took its place":  {killed + " mounts:b", [][2]string{{"lab", "stage:b begins:b mounts:b ends:b done"}}, "removed"},
	} {
		t.Run(name, func(t *testing.T) {
			state := t.TempDir()
			history(t, state, "r", "lab", 0, c.run)
			for i, later := range c.later {
				history(t, state, fmt.Sprint("later", i), later[0], 10+i, later[1])
			}
			o := log.PruneOptions{Before: noon.Add(5 * time.Hour), Lock: func(string) (func(), error) { return func() {}, nil }}
			o.Dry = true
			would, err := log.Prune(state, o)
			check(t, err)
			if runs, err := log.List(state); err != nil || len(runs) != 1+len(c.later) {
				t.Errorf("a dry prune left %v, %v", runs, err)
			}
			o.Dry = false
			got, err := log.Prune(state, o)
			check(t, err)
			removed, resumable := map[string]string{"removed": "r"}[c.want], map[string]string{"resumable": "r"}[c.want]
			for _, p := range []log.Pruned{would, got} {
				if runNames(p.Removed) != removed || runNames(p.Resumable) != resumable {
					t.Errorf("removed %q, resumable %q", runNames(p.Removed), runNames(p.Resumable))
				}
			}
			if _, err := os.Stat(filepath.Join(state, "runs", "r.jsonl")); errors.Is(err, os.ErrNotExist) != (c.want == "removed") {
				t.Errorf("the log: %v", err)
			}
		})
	}
}

// TestPruneAtWork: the log of a run at which a process is at work stays, and where that
// cannot be found out, none is removed.
func TestPruneAtWork(t *testing.T) {
	state := t.TempDir()
	history(t, state, "busy", "lab", 0, "stage:a begins:a")
	history(t, state, "killed", "lab", 0, "stage:b begins:b ends:b")
	history(t, state, "ended", "lab", 0, "stage:c begins:c ends:c done")
	broken := errors.New("the disk is broken")
	_, err := log.Prune(state, log.PruneOptions{Before: noon.Add(time.Hour), Lock: func(string) (func(), error) { return nil, broken }})
	if runs, _ := log.List(state); !errors.Is(err, broken) || len(runs) != 3 {
		t.Fatalf("%v; left %s", err, runNames(runs))
	}
	held := map[string]bool{}
	got, err := log.Prune(state, log.PruneOptions{Before: noon.Add(time.Hour), Lock: func(run string) (func(), error) {
		if run == "busy" {
			return nil, nil
		}
		held[run] = true
		return func() { delete(held, run) }, nil
	}})
	if err != nil || runNames(got.Removed) != "ended killed" || len(got.Resumable) > 0 || len(held) > 0 {
		t.Errorf("removed %s, resumable %s, locked %v, %v", runNames(got.Removed), runNames(got.Resumable), held, err)
	}
}

// TestUnfinishedSnapshots: what killed writers of snapshots left is removed at the next write
// and by a prune, once it is too old to belong to one that is at work.
func TestUnfinishedSnapshots(t *testing.T) {
	for name, clean := range map[string]func(t *testing.T, state string){
		"write": func(t *testing.T, state string) { history(t, state, "next", "lab", 0, "stage:a done") },
		"prune": func(t *testing.T, state string) {
			_, err := log.Prune(state, log.PruneOptions{Before: noon})
			check(t, err)
		},
		"dry prune": func(t *testing.T, state string) {
			_, err := log.Prune(state, log.PruneOptions{Before: noon, Dry: true})
			check(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			state := filepath.Join(t.TempDir(), "[odd] name")
			history(t, state, "run", "lab", 0, "stage:a done")
			for file, age := range map[string]time.Duration{"snapshot-1.new": 2 * time.Hour, "snapshot-2.new": time.Minute, "other.new": 2 * time.Hour} {
				check(t, os.WriteFile(filepath.Join(state, file), []byte("{"), 0o600))
				check(t, os.Chtimes(filepath.Join(state, file), time.Time{}, time.Now().Add(-age)))
			}
			clean(t, state)
			want := []string{"other.new", "snapshot-2.new"}
			if name == "dry prune" {
				want = []string{"other.new", "snapshot-1.new", "snapshot-2.new"}
			}
			files, err := os.ReadDir(state)
			check(t, err)
			var left []string
			for _, f := range files {
				if strings.HasSuffix(f.Name(), ".new") {
					left = append(left, f.Name())
				}
			}
			if !slices.Equal(left, want) {
				t.Errorf("left are %v", left)
			}
		})
	}
}

// TestPrunePlans: the saved plan that a run applied stays as long as its log, is not replaced when
// the run is continued, and goes with the log.
func TestPrunePlans(t *testing.T) {
	state := t.TempDir()
	l, err := log.Open(state, "applied", log.Options{})
	check(t, err)
	check(t, log.KeepPlan(state, "applied", []byte("first")))
	check(t, log.KeepPlan(state, "applied", []byte("second")))
	check(t, l.Note(event.Event{Kind: event.RunStarted, Time: noon, Plan: &event.PlanInfo{}}))
	check(t, l.Note(event.Event{Kind: event.RunDone, Time: noon, Summary: &event.Summary{}}))
	check(t, l.Close())
	name := log.PlanFile(state, "applied")
	if b, err := os.ReadFile(name); err != nil || string(b) != "first" {
		t.Errorf("%s: %q, %v", name, b, err)
	}
	if runs, err := log.List(state); err != nil || len(runs) != 1 {
		t.Errorf("%d runs, %v", len(runs), err)
	}
	if log.PlanFile(state, "other") != "" || log.KeepPlan(state, "../x", nil) == nil {
		t.Error("a run that applied nothing has a plan")
	}
	if _, err := log.Prune(state, log.PruneOptions{Before: noon}); err != nil || log.PlanFile(state, "applied") == "" {
		t.Errorf("the plan went before its log: %v", err)
	}
	_, err = log.Prune(state, log.PruneOptions{Before: noon.Add(time.Hour)})
	check(t, err)
	if log.PlanFile(state, "applied") != "" {
		t.Error("the plan stays")
	}
}
