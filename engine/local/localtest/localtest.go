// Package localtest has step types whose attempts come to what the plan says, and doors with
// no machine behind them, for tests of whole runs under simulated time.
//
// A [Lab] keeps what happened. [Lab.Plan] loads a plan of its step types, [Lab.Open] opens
// the doors of a host. What decides about an attempt is how many there were of its step on
// its host; a lab in which these stand ([Lab.Attempts]) is one in which they took place.
package localtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/media"
	"esxiplan/engine/step"
	"esxiplan/engine/survey"
	"esxiplan/schema"
)

// arguments drive a step: what each attempt comes to is written in the plan, by host and
// attempt.
type arguments struct {
	Do    []string `json:"do" doc:"What each attempt does: ok, write, refused, lost, twice, retry, gone, final, low, slow, stuck, late, panic. The last repeats."`
	Takes *string  `json:"takes" doc:"Anything."`
}

// Result is what the steps come to.
type Result struct {
	Value int    `json:"value" doc:"Number of the attempt, or less."`
	Text  string `json:"text" doc:"Some text."`
}

// Shelf is a media door that publishes anything.
type Shelf struct{ media.Store }

func (Shelf) Publish(ctx context.Context, _ media.Request, record media.Record) (media.Published, error) {
	return media.Published{}, record(ctx, media.Replacement{Action: "publish", Target: "image", New: "x"})
}

func (Shelf) Latest(string) (media.Published, bool) { return media.Published{}, false }

// Drive is a BMC of which each insert comes to what the image is called: "refused", "lost",
// or, after a refusal in one form, done in another ("twice").
type Drive struct{ bmc.Client }

func (Drive) Identity(context.Context) (bmc.Identity, error)                    { return bmc.Identity{}, nil }
func (Drive) License(context.Context) (bmc.License, error)                      { return bmc.License{}, nil }
func (Drive) OtherSessions(context.Context) ([]string, error)                   { return nil, nil }
func (Drive) Close(context.Context) error                                       { return nil }
func (Drive) Power(context.Context) (bmc.Power, error)                          { return bmc.Power{State: bmc.Off}, nil }
func (Drive) Refresh(time.Duration)                                             {}
func (Drive) Prefetch(context.Context, func(context.Context, bmc.Reader)) error { return nil }
func (Drive) Insert(ctx context.Context, s bmc.Slot, url string, r bmc.Record) error {
	w := bmc.InsertCommand(s, url, r)
	for _, fate := range map[string][]bmc.Fate{"refused": {bmc.Refused}, "lost": {bmc.Unknown}, "twice": {bmc.Refused, bmc.Done}}[url] {
		settle, err := r(ctx, w)
		if err != nil {
			return err
		}
		settle(fate)
		w.Repeat = true
	}
	return nil
}

type flaky struct{ retryable, unreachable bool }

func (f flaky) Error() string     { return "trouble" }
func (f flaky) Retryable() bool   { return f.retryable }
func (f flaky) Unreachable() bool { return f.unreachable }

// Task is a step on a host.
type Task struct{ Host, Step string }

// Lab has step types, and keeps what happened.
type Lab struct {
	Types    []*step.Type // fake, fake_write and fake_reset
	Attempts map[Task]int // that began
	Most     int          // hosts that worked at once, at most
	Order    []string     // of the attempts: host and type

	mu      sync.Mutex
	running int
}

// New makes a lab in which nothing happened.
func New() *Lab {
	l := &Lab{Attempts: map[Task]int{}}
	l.Types = []*step.Type{l.fake("fake", false), l.fake("fake_write", true), l.fake("fake_reset", true)}
	return l
}

func (l *Lab) fake(name string, writes bool) *step.Type {
	return step.Define(step.Spec[arguments, Result]{
		Name: name, Summary: "Does what the plan says.", Doc: "```hcl\n```", Most: step.Effects{Writes: writes, Starts: name == "fake_reset"},
		Policy: step.Policy{Retries: 2, Delay: time.Second, MaxDelay: 4 * time.Second},
		Run: func(ctx context.Context, h *step.Host, c arguments) (Result, error) {
			n := l.begin(h, name)
			defer l.end()
			return Do(ctx, h, c.Do[min(n, len(c.Do))-1], n)
		},
	})
}

// begin counts an attempt.
func (l *Lab) begin(h *step.Host, name string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := Task{h.Name, h.StepName()}
	l.Attempts[t]++
	l.running++
	l.Most = max(l.Most, l.running)
	l.Order = append(l.Order, h.Name+" "+name)
	return l.Attempts[t]
}

func (l *Lab) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running--
}

// Do is an attempt, the nth of its step on its host, that does what the plan says.
func Do(ctx context.Context, h *step.Host, what string, n int) (Result, error) {
	select { // an attempt takes a second
	case <-time.After(time.Second):
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
	switch what {
	case "write":
		_, err := h.Media.Publish(ctx, media.Request{})
		return Result{Value: n}, err
	case "refused", "lost", "twice":
		return Result{Value: n}, h.BMC.Insert(ctx, bmc.Slot{ID: "1"}, what)
	case "retry":
		return Result{}, flaky{retryable: true}
	case "gone":
		return Result{}, flaky{true, true}
	case "exhausted":
		return Result{}, fmt.Errorf("dial: %w", syscall.EMFILE)
	case "final":
		return Result{}, errors.New("it is broken")
	case "low":
		return Result{Value: -1}, nil
	case "slow":
		err := h.Until(ctx, time.Hour, "never", func(context.Context) (bool, error) { return false, nil })
		return Result{}, err
	case "stuck":
		<-ctx.Done()
		return Result{}, ctx.Err()
	case "late":
		<-ctx.Done()
		return Result{}, errors.New("it is broken")
	case "looks":
		h.Warn("last: %v", h.Last())
	case "panic":
		panic("oh")
	}
	return Result{Value: n, Text: what}, nil
}

// head is what all plans begin with.
const head = `
group "a" {
  bmc {
    username = "u"
    password = "p"
  }
  host "one" {}
  host "two" {}
  host "three" {}
}
`

// Plan loads a plan with these steps, for the hosts one, two and three of a group a.
func (l *Lab) Plan(t *testing.T, steps string) *schema.Plan {
	t.Helper()
	file := filepath.Join(t.TempDir(), "plan.hcl")
	if err := os.WriteFile(file, []byte(head+steps), 0o600); err != nil {
		t.Fatal(err)
	}
	k := schema.Known{Version: "0.1", Steps: map[string]schema.StepType{}, Facts: schema.Of[step.Facts]()}
	for _, typ := range l.Types {
		k.Steps[typ.Name] = schema.StepType{Arguments: typ.Arguments, Result: typ.Result}
	}
	p, diags := schema.Load([]string{file}, schema.Input{}, k)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return p
}

// Open opens the doors of a host.
func (l *Lab) Open(s *survey.Survey, h *schema.Host) *step.Host {
	host := step.NewHost(s.Plan.Name, h, s.Settings(h))
	host.SetMedia(Shelf{})
	host.SetBMC(Drive{})
	return host
}
