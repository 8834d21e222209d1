package local_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/lane"
	"esxiplan/engine/local"
	"esxiplan/engine/local/localtest"
	"esxiplan/engine/log"
	"esxiplan/engine/step"
	"esxiplan/engine/survey"
	"esxiplan/schema"
)

type ended struct {
	events  []event.Event
	summary event.Summary
	lab     *localtest.Lab
	took    time.Duration
}

// status of a host's step, or of the host where step is "".
func (e ended) status(host, name string) event.Status {
	for _, ev := range e.events {
		if ev.Host == host && (ev.Kind == event.StepDone && ev.Step == name || ev.Kind == event.HostDone && name == "") {
			return ev.Status
		}
	}
	return "none"
}

func (e ended) find(kind event.Kind, host string) (out []event.Event) {
	for _, ev := range e.events {
		if ev.Kind == kind && ev.Host == host {
			out = append(out, ev)
		}
	}
	return out
}

// perform runs a plan under simulated time. interrupt > 0 presses Ctrl-C then.
func perform(t *testing.T, text string, o survey.Options, forks int, interrupt time.Duration) (out ended) {
	t.Helper()
	dir, l := t.TempDir(), localtest.New()
	t.Setenv("TMPDIR", dir) // for traces
	p := l.Plan(t, text)
	found, diags := survey.New(p, l.Types, o)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	out.lab = l
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		j, err := log.Open(dir, "run", log.Options{Show: func(e event.Event) { out.events = append(out.events, e) }})
		if err != nil {
			t.Fatal(err)
		}
		w := &local.Worker{Plan: p, Types: l.Types, Clock: local.NewClock(1), Log: j, Open: func(h *schema.Host) (*step.Host, error) { return l.Open(found, h), nil }}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		if interrupt > 0 {
			time.AfterFunc(interrupt, cancel)
		}
		lanes := lane.NewSet(found)
		d := &local.Driver{Lanes: lanes, Worker: w, Forks: forks}
		events, actions := lanes.Start(func(string) lane.Past { return lane.Past{} })
		out.summary, _ = d.Run(ctx, context.Background(), events, actions)
		out.took = time.Since(began)
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return out
}

// TestNoDescriptors: the advice is about this machine.
func TestNoDescriptors(t *testing.T) {
	e := perform(t, `step "fake" "x" { do = ["exhausted"] }`, survey.Options{}, 10, 0)
	for _, done := range e.find(event.StepDone, "one") {
		if p := done.Problem; p == nil || !strings.HasPrefix(p.Next, "It is this machine that has no file descriptor left") || !strings.Contains(p.Next, "ulimit -n") {
			t.Errorf("%+v", p)
		}
	}
}

func TestPolicies(t *testing.T) {
	for name, c := range map[string]struct {
		plan string
		want map[string]event.Status // "host step"
		exit int
		took time.Duration // at least
	}{
		"success":            {`step "fake" "x" { do = ["ok"] }`, map[string]event.Status{"one x": "ok", "one ": "ok"}, 0, time.Second},
		"write is changed":   {`step "fake_write" "x" { do = ["write"] }`, map[string]event.Status{"one x": "changed", "one ": "changed"}, 0, 0},
		"refused is not":     {`step "fake_write" "x" { do = ["refused"] }`, map[string]event.Status{"one x": "ok", "one ": "ok"}, 0, 0},
		"lost may be":        {`step "fake_write" "x" { do = ["lost"] }`, map[string]event.Status{"one x": "changed"}, 0, 0},
		"in the second form": {`step "fake_write" "x" { do = ["twice"] }`, map[string]event.Status{"one x": "changed"}, 0, 0},
		"retried":            {`step "fake" "x" { do = ["retry", "retry", "ok"] }`, map[string]event.Status{"one x": "ok"}, 0, 5 * time.Second},
		"retries used up":    {`step "fake" "x" { do = ["retry"] }`, map[string]event.Status{"one x": "failed"}, 2, 0},
		"final at once":      {`step "fake" "x" { do = ["final", "ok"] }`, map[string]event.Status{"one x": "failed"}, 2, 0},
		"unreachable":        {`step "fake" "x" { do = ["gone"] }`, map[string]event.Status{"one x": "unreachable", "one ": "unreachable"}, 4, 0},
		"no descriptors":     {`step "fake" "x" { do = ["exhausted"] }`, map[string]event.Status{"one x": "failed", "one ": "failed"}, 2, 5 * time.Second},
		"until":              {"step \"fake\" \"x\" {\n do = [\"ok\"]\n until = result.value == 3\n}", map[string]event.Status{"one x": "ok"}, 0, 5 * time.Second},
		"until not met":      {"step \"fake\" \"x\" {\n do = [\"ok\"]\n until = false\n retries = 1\n}", map[string]event.Status{"one x": "failed"}, 2, 0},
		"failed_when":        {"step \"fake\" \"x\" {\n do = [\"low\"]\n failed_when = result.value < 0\n until = false\n}", map[string]event.Status{"one x": "failed"}, 2, 0},
		"timeout":            {"step \"fake\" \"x\" {\n do = [\"slow\"]\n timeout = \"10s\"\n}", map[string]event.Status{"one x": "failed"}, 2, 10 * time.Second},
		"timeout of retries": {"step \"fake\" \"x\" {\n do = [\"retry\"]\n retries = 1000\n timeout = \"30s\"\n}", map[string]event.Status{"one x": "failed"}, 2, 20 * time.Second},
		"when":               {"step \"fake\" \"x\" {\n do = [\"final\"]\n when = host.name == \"two\"\n}", map[string]event.Status{"one x": "skipped", "two x": "failed"}, 2, 0},
		"done_when":          {"step \"fake\" \"x\" {\n do = [\"final\"]\n done_when = true\n}", map[string]event.Status{"one x": "ok"}, 0, 0},
		"ignored":            {"step \"fake\" \"x\" {\n do = [\"final\"]\n on_error = \"continue\"\n}\nstep \"fake\" \"y\" { do = [\"ok\"] }", map[string]event.Status{"one x": "ignored", "one y": "ok", "one ": "ok"}, 0, 0},
		"run_on":             {"step \"fake\" \"x\" { do = [\"final\"] }\nstep \"fake\" \"y\" { do = [\"ok\"] }\nstep \"fake\" \"f\" {\n do = [\"ok\"]\n run_on = \"failure\"\n}\nstep \"fake\" \"z\" {\n do = [\"ok\"]\n run_on = \"always\"\n}", map[string]event.Status{"one x": "failed", "one y": "none", "one f": "ok", "one z": "ok", "one ": "failed"}, 2, 0},
		"null of a skipped":  {"step \"fake\" \"x\" {\n do = [\"ok\"]\n when = false\n}\nstep \"fake\" \"y\" {\n do = [\"ok\"]\n takes = step.x.text\n when = step.x.value == null\n}", map[string]event.Status{"one x": "skipped", "one y": "ok"}, 0, 0},
		"result passes on":   {"step \"fake\" \"x\" { do = [\"ok\"] }\nstep \"fake\" \"y\" {\n do = [step.x.text]\n takes = \"${step.x.value}\"\n}", map[string]event.Status{"one y": "ok"}, 0, 0},
		"panic is internal":  {`step "fake" "x" { do = ["panic"] }`, map[string]event.Status{"one x": "failed"}, 70, 0},
	} {
		t.Run(name, func(t *testing.T) {
			e := perform(t, c.plan, survey.Options{}, 10, 0)
			for key, want := range c.want {
				host, name, _ := strings.Cut(key, " ")
				if got := e.status(host, name); got != want {
					t.Errorf("%s: got %s, want %s", key, got, want)
				}
			}
			if e.summary.Exit != c.exit {
				t.Errorf("exit %d, want %d", e.summary.Exit, c.exit)
			}
			if e.took < c.took {
				t.Errorf("took %s, at least %s expected", e.took, c.took)
			}
		})
	}
}

// TestPanicIsReported: people see one line that names the file with the trace.
func TestPanicIsReported(t *testing.T) {
	out := perform(t, `step "fake" "x" { do = ["panic"] }`, survey.Options{}, 50, 0)
	told, file, ok := strings.Cut(out.summary.Internal, "the trace in ")
	if !ok || strings.Contains(told, "\n") || !strings.Contains(told, "x on ") || !strings.Contains(told, "bug in esxiplan") {
		t.Fatalf("internal: %s", out.summary.Internal)
	}
	for _, e := range out.events {
		if p := e.Problem; p != nil && strings.Contains(p.Detail, "goroutine") {
			t.Errorf("a trace is shown: %s", p.Detail)
		}
	}
	if b, err := os.ReadFile(file); err != nil || !strings.Contains(string(b), "panic: oh\n") || !strings.Contains(string(b), "localtest.go:") {
		t.Errorf("trace: %v\n%s", err, b)
	}
}

// TestPanicWhileTidying is an error like others, and its trace holds no secret.
func TestPanicWhileTidying(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	w := &local.Worker{Plan: localtest.New().Plan(t, `step "fake" "x" { do = ["ok"] }`), Clock: local.NewClock(1), Open: func(*schema.Host) (*step.Host, error) { panic("oh") },
		Mask: func(text string) string { return strings.ReplaceAll(text, "panic: oh", "masked") }}
	if err := w.Tidy(t.Context(), "one"); err == nil || !strings.Contains(err.Error(), "the machine of one in order panicked") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error: %v", err)
	}
	traces, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(traces) != 1 {
		t.Fatalf("traces: %v", traces)
	}
	if b, _ := os.ReadFile(traces[0]); !strings.Contains(string(b), "masked") || strings.Contains(string(b), "panic: oh") {
		t.Errorf("trace: %s", b)
	}
}

func TestForksBoundTheWork(t *testing.T) {
	e := perform(t, `step "fake" "x" { do = ["ok"] }`, survey.Options{}, 2, 0)
	if e.lab.Most != 2 {
		t.Errorf("%d hosts worked at once, forks are 2", e.lab.Most)
	}
}

// A step that waits gives its place to another host.
func TestForksAreGivenBack(t *testing.T) {
	e := perform(t, "step \"fake\" \"x\" {\n do = [\"slow\"]\n timeout = \"10s\"\n}", survey.Options{}, 1, 0)
	if e.took > 20*time.Second {
		t.Errorf("three hosts that only wait took %s one after another", e.took)
	}
}

// TestOvertime: a step that its own timeout ends says what it waited for, where it knows.
func TestOvertime(t *testing.T) {
	for do, says := range map[string]string{
		"slow":  "The step's timeout ended it after 10 seconds, still waiting until never",
		"stuck": "The step's timeout ended it after 10 seconds, before it was done",
	} {
		e := perform(t, fmt.Sprintf("step \"fake\" \"x\" {\n do = [%q]\n timeout = \"10s\"\n}", do), survey.Options{}, 10, 0)
		if p := e.find(event.StepDone, "one")[0].Problem; p.Summary != says {
			t.Errorf("%s: %q", do, p.Summary)
		}
	}
}

func TestThrottle(t *testing.T) {
	e := perform(t, "step \"fake\" \"x\" {\n do = [\"ok\"]\n throttle = 1\n}", survey.Options{}, 10, 0)
	if e.lab.Most != 1 {
		t.Errorf("%d hosts in a step with throttle 1", e.lab.Most)
	}
}

func TestInFlight(t *testing.T) {
	e := perform(t, "step \"fake_write\" \"x\" { do = [\"write\"] }\nstep \"fake\" \"y\" { do = [\"ok\"] }", survey.Options{InFlight: "1"}, 10, 0)
	if e.lab.Most != 1 || e.summary.Exit != 0 {
		t.Errorf("%d hosts in flight, exit %d", e.lab.Most, e.summary.Exit)
	}
}

// At a barrier all hosts meet; one that failed has arrived.
func TestBarrier(t *testing.T) {
	e := perform(t, `step "fake" "x" { do = host.name == "one" ? ["final"] : host.name == "two" ? ["retry", "ok"] : ["ok"] }
step "fake_write" "y" {
  do      = ["ok"]
  barrier = true
}`, survey.Options{}, 10, 0)
	first := slices.IndexFunc(e.lab.Order, func(s string) bool { return strings.HasSuffix(s, "fake_write") })
	for _, s := range e.lab.Order[first:] {
		if !strings.HasSuffix(s, "fake_write") {
			t.Errorf("%s ran after the barrier opened: %v", s, e.lab.Order)
		}
	}
	if e.status("two", "y") != event.OK || e.status("one", "y") != "none" {
		t.Error("two must pass the barrier, one must not")
	}
}

func TestFailureBudget(t *testing.T) {
	e := perform(t, "step \"fake\" \"x\" { do = host.name == \"three\" ? [\"ok\", \"ok\"] : [\"final\"] }\nstep \"fake\" \"w\" { do = [\"ok\"] }\nstep \"fake_write\" \"y\" { do = [\"write\"] }", survey.Options{MaxFailures: "1"}, 10, 0)
	if e.status("three", "") != event.NotRun || e.summary.Exit != event.ExitBudget {
		t.Errorf("three is %s, exit %d", e.status("three", ""), e.summary.Exit)
	}
}

// Ctrl-C: what runs is cancelled, what did not begin does not, steps with run_on =
// "always" run.
func TestInterrupt(t *testing.T) {
	e := perform(t, `step "fake" "x" { do = ["slow"] }
step "fake" "y" { do = ["ok"] }
step "fake" "z" {
  do     = ["ok"]
  run_on = "always"
}`, survey.Options{}, 10, 30*time.Second)
	if e.summary.Exit != event.ExitInterrupted || e.status("one", "y") != "none" || e.status("one", "z") != event.OK || e.status("one", "") != event.NotRun {
		t.Errorf("exit %d, y %s, z %s, host %s", e.summary.Exit, e.status("one", "y"), e.status("one", "z"), e.status("one", ""))
	}
	if e.took > 40*time.Second {
		t.Errorf("took %s", e.took)
	}
}

// An error that comes after a Ctrl-C and is not one of it is told as it is, and is no timeout.
func TestErrorAfterInterrupt(t *testing.T) {
	e := perform(t, "step \"fake\" \"x\" {\n do = [\"late\"]\n timeout = \"1h\"\n}", survey.Options{}, 10, 30*time.Second)
	if p := e.find(event.StepDone, "one")[0].Problem; p == nil || p.Summary != "It is broken" {
		t.Errorf("%+v", p)
	}
}

// Lanes are pure: the same outcomes give the same events.
func TestReplay(t *testing.T) {
	plan := `step "fake" "x" { do = ["retry", "ok"] }
step "fake_write" "y" { do = ["write"] }`
	shape := func() string {
		e := perform(t, plan, survey.Options{}, 1, 0)
		var b strings.Builder
		for _, host := range []string{"one", "two", "three"} {
			for _, ev := range e.events {
				if ev.Host == host {
					fmt.Fprintln(&b, ev.Host, ev.Kind, ev.Step, ev.Status, ev.Attempt)
				}
			}
		}
		return b.String()
	}
	if a, b := shape(), shape(); a != b {
		t.Errorf("two runs differ:\n%s\n%s", a, b)
	}
}

// TestLast: an attempt knows whether another look is likely to come to its end before the step
// gives up. Each takes a second; a screen may take ten more.
func TestLast(t *testing.T) {
	for name, c := range map[string]struct {
		policy string
		want   []bool
	}{
		"retries are used up":   {"retries = 2\n delay = \"5s\"", []bool{false, false, true}},
		"the time is nearly up": {"timeout = \"34s\"\n retries = 99\n delay = \"5s\"", []bool{false, false, false, true, true, true}},
		"no bound":              {"retries = 1", []bool{false, true}},
	} {
		e := perform(t, "step \"fake\" \"x\" {\n do = [\"looks\"]\n until = false\n "+c.policy+"\n}", survey.Options{}, 10, 0)
		var got []bool
		for _, w := range e.find(event.Warned, "one") {
			got = append(got, w.Text == "last: true")
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}
