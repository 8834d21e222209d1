package log_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/log"
)

// goes logs an installation of a machine that was reset at a time, and is watched from then on:
// phases with how long after the reset they were seen.
func goes(t *testing.T, l *log.Log, host, model string, at time.Time, phases ...any) {
	t.Helper()
	watched(t, l, host, model, at, at, phases...)
}

// watched logs an installation of which the wait saw as much that watched since a time; zero: it
// is not known since when.
func watched(t *testing.T, l *log.Log, host, model string, at, since time.Time, phases ...any) {
	t.Helper()
	_, err := l.Append(event.Event{Kind: event.WriteMade, Host: host, Step: "restart-" + at.String(), Time: at,
		Write: &event.Change{Verb: event.Reset, New: "On", Intent: event.Intent{Boots: true, Installs: true}}})
	check(t, err)
	for i := 0; i < len(phases); i += 2 {
		e := event.Event{Kind: event.Phased, Host: host, Step: "installed", Time: at.Add(phases[i+1].(time.Duration))}
		e.Phase = &event.Entered{Phase: phases[i].(event.Phase), Evidence: "it was seen", Reset: at, Model: model, Watched: since}
		check(t, l.Later(e))
	}
}

// TestExpected: what earlier installations of a model took from a phase to the proof is known,
// also to later processes, by the snapshot as by the logs.
func TestExpected(t *testing.T) {
	state := t.TempDir()
	l, err := log.Open(state, "run", log.Options{})
	check(t, err)
	if got := l.Expected("R750", event.PhaseRestart); got != nil {
		t.Errorf("of no run: %+v", got)
	}
	const m = time.Minute
	goes(t, l, "h1", "R750", noon, event.PhaseRestart, 10*time.Second, event.PhasePost, 2*m, event.PhaseInstaller, 6*m, event.PhaseProven, 20*m)
	goes(t, l, "h2", "R750", noon, event.PhaseRestart, time.Second, event.PhaseInstaller, 8*m, event.PhaseProven, 30*m)
	goes(t, l, "h3", "R750", noon, event.PhasePost, 4*m, event.PhaseProven, 24*m)
	goes(t, l, "h4", "DL380", noon, event.PhaseRestart, time.Second, event.PhaseProven, 40*m)
	goes(t, l, "h5", "R750", noon, event.PhaseRestart, time.Second)
	goes(t, l, "h6", "", noon, event.PhaseRestart, time.Second, event.PhaseProven, 90*m)                       // of an unknown model
	goes(t, l, "h7", "R750", noon, event.PhaseRestart, time.Second, event.PhaseInstaller, 6*m)                 // not proven
	goes(t, l, "h1", "R750", noon.Add(24*time.Hour), event.PhaseRestart, time.Second, event.PhaseProven, 22*m) // again
	minutes := func(n float64) event.Seconds { return event.Seconds(n * float64(m)) }
	demand := func(l *log.Log) {
		t.Helper()
		for _, c := range []struct {
			model string
			from  event.Phase
			want  *event.Expected
		}{
			{"R750", event.PhaseRestart, &event.Expected{Runs: 3, Median: minutes(22), Low: minutes(20), High: minutes(30)}}, // from the reset on
			{"R750", event.PhasePost, &event.Expected{Runs: 2, Median: minutes(19), Low: minutes(18), High: minutes(20)}},
			{"R750", event.PhaseInstaller, &event.Expected{Runs: 2, Median: minutes(18), Low: minutes(14), High: minutes(22)}},
			{"DL380", event.PhaseRestart, &event.Expected{Runs: 1, Median: minutes(40), Low: minutes(40), High: minutes(40)}},
			{"R750", event.PhaseLoader, nil}, {"R750", event.PhaseProven, nil}, {"", event.PhaseRestart, nil}, {"R650", event.PhaseRestart, nil},
		} {
			if got := l.Expected(c.model, c.from); !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s from %s: %+v, want %+v", c.model, c.from, got, c.want)
			}
		}
	}
	demand(l)
	check(t, l.Close())
	late, err := log.Open(state, "looks-late", log.Options{})
	check(t, err)
	check(t, late.Keep(log.Record{Event: event.Event{Kind: log.StageStarted, Time: noon.Add(30 * m)}, Stage: &log.Stage{Number: 1}}))
	check(t, late.Later(event.Event{Kind: event.Phased, Host: "h5", Step: "installed", Time: noon.Add(31 * m), Phase: &event.Entered{Phase: event.PhaseProven, Reset: noon, Model: "R750", Watched: noon.Add(31 * m)}}))
	check(t, late.Close())
	for _, folder := range []string{state, copyLogs(t, state)} {
		later, err := log.Dry(folder, "later", log.Options{})
		check(t, err)
		demand(later)
	}
}

// TestExpectedOfTheWatched: nothing is learned from an installation that was first looked at long
// after the reset, although the stage began before that: when its machine was done is not known.
func TestExpectedOfTheWatched(t *testing.T) {
	for name, c := range map[string]struct {
		since   time.Time
		learned bool
	}{
		"from the reset on":        {since: noon.Add(time.Second), learned: true},
		"from before the reset on": {since: noon.Add(-time.Hour), learned: true},
		"five minutes later":       {since: noon.Add(5 * time.Minute), learned: true},
		"six minutes later":        {since: noon.Add(6 * time.Minute)},
		"after the installation":   {since: noon.Add(40 * time.Minute)},
		"not known since when":     {},
	} {
		t.Run(name, func(t *testing.T) {
			state := t.TempDir()
			l, err := log.Open(state, "run", log.Options{})
			check(t, err)
			check(t, l.Keep(log.Record{Event: event.Event{Kind: log.StageStarted, Time: noon.Add(-time.Hour)}, Stage: &log.Stage{Number: 1}}))
			watched(t, l, "h", "R750", noon, c.since, event.PhaseRestart, time.Second, event.PhaseProven, 40*time.Minute)
			check(t, l.Close())
			past, err := log.Read(state)
			check(t, err)
			for reader, got := range map[string]*event.Expected{"the run": l.Expected("R750", event.PhaseRestart), "a later one": past.Expected("R750", event.PhaseRestart)} {
				if (got != nil) != c.learned || got != nil && got.Median != event.Seconds(40*time.Minute) {
					t.Errorf("%s expects %+v", reader, got)
				}
			}
		})
	}
}

// TestExpectedOfTheLatest: no more than fifty installations of a model are kept, the latest.
func TestExpectedOfTheLatest(t *testing.T) {
	l, err := log.Open(t.TempDir(), "run", log.Options{})
	check(t, err)
	defer l.Close()
	for i := range 60 {
		goes(t, l, fmt.Sprint("h", i), "R750", noon.Add(time.Duration(i)*time.Hour), event.PhaseRestart, time.Second, event.PhaseProven, time.Duration(i+1)*time.Minute)
	}
	want := event.Expected{Runs: 50, Median: event.Seconds(35*time.Minute + 30*time.Second), Low: event.Seconds(11 * time.Minute), High: event.Seconds(60 * time.Minute)}
	if got := l.Expected("R750", event.PhaseRestart); got == nil || *got != want {
		t.Errorf("%+v", got)
	}
}

// TestPhasesOfAReset: the machine's history holds the phases of its last reset, in their order,
// and none of another one.
func TestPhasesOfAReset(t *testing.T) {
	l, err := log.Open(t.TempDir(), "run", log.Options{})
	check(t, err)
	defer l.Close()
	goes(t, l, "h", "R750", noon, event.PhasePost, time.Minute, event.PhaseInstaller, 2*time.Minute, event.PhasePost, 3*time.Minute)
	last, _ := l.History("h").LastReset()
	if last.Phase() != event.PhaseInstaller || len(last.Phases) != 2 || !last.Phases[1].Time.Equal(noon.Add(2*time.Minute)) {
		t.Errorf("%+v", last.Phases)
	}
	goes(t, l, "h", "R750", noon.Add(time.Hour))
	e := event.Event{Kind: event.Phased, Host: "h", Step: "installed", Time: noon.Add(time.Hour), Phase: &event.Entered{Phase: event.PhaseProven, Reset: noon}}
	check(t, l.Later(e))
	if last, _ := l.History("h").LastReset(); last.Phase() != "" {
		t.Errorf("of an earlier reset: %+v", last.Phases)
	}
	if model := l.History("h").Model(); model != "R750" {
		t.Errorf("the model is %q", model)
	}
}
