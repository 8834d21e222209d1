package step_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/event"
	"esxiplan/engine/media"
	"esxiplan/engine/step"
)

func TestUntil(t *testing.T) {
	b := newBench(t, step.Settings{})
	looks := 0
	ok := func(context.Context) (bool, error) { looks++; return looks == 4, nil }
	if err := b.Until(t.Context(), time.Minute, "it is so", ok); err != nil || looks != 4 {
		t.Errorf("%d looks, %v", looks, err)
	}
	never := func(context.Context) (bool, error) { return false, nil }
	err := b.Until(t.Context(), time.Minute, "the BMC is ready", never)
	var unsettled *step.Unsettled
	if !errors.As(err, &unsettled) || err.Error() != "timed out after 1 minute waiting until the BMC is ready" || step.Classify(err) != step.Retryable {
		t.Errorf("%v", err)
	}
	broken := errors.New("broken")
	if err := b.Until(t.Context(), time.Minute, "x", func(context.Context) (bool, error) { return false, broken }); err != broken {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Until(ctx, time.Minute, "x", never); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	dry := newBench(t, step.Settings{DryRun: true})
	if err := dry.Until(t.Context(), time.Minute, "x", never); err != nil {
		t.Errorf("a dry run waits: %v", err)
	}
}

// TestUntilTheStepsTimeout: a wait that the step's own timeout cuts short says what it
// waited for, not that a deadline was exceeded.
func TestUntilTheStepsTimeout(t *testing.T) {
	b := newBench(t, step.Settings{})
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	err := b.Until(ctx, 10*time.Minute, "the BMC is ready", func(context.Context) (bool, error) { return false, nil })
	if err == nil || !strings.Contains(err.Error(), "until the BMC is ready") {
		t.Error(err)
	}
	// Within a request it is the same, once the BMC answered at all.
	ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	looks := 0
	asking := func(ctx context.Context) (bool, error) {
		if looks++; looks == 1 {
			return false, nil
		}
		<-ctx.Done()
		return false, ctx.Err()
	}
	if err := b.Until(ctx, 10*time.Minute, "the BMC is ready", asking); err == nil || !strings.Contains(err.Error(), "until the BMC is ready") {
		t.Error(err)
	}
	never := func(context.Context) (bool, error) { return false, ctx.Err() }
	if err := b.Until(ctx, 10*time.Minute, "the BMC is ready", never); err != context.DeadlineExceeded {
		t.Errorf("a BMC that never answered: %v", err)
	}
}

func TestEmptied(t *testing.T) {
	b := newBench(t, step.Settings{})
	b.m.slots[0].Loaded = true
	b.a.onSleep = func() { b.m.slots[0].Loaded = false }
	if err := b.Emptied(t.Context(), b.m.slots[0]); err != nil {
		t.Error(err)
	}
}

func TestPublish(t *testing.T) {
	for name, c := range map[string]struct {
		err, refuse error
		fate        event.Fate
	}{"done": {nil, nil, event.Done}, "failed": {errors.New("disk full"), nil, event.Unknown}, "not recorded": {nil, errors.New("no log"), ""}} {
		b := newBench(t, step.Settings{})
		b.SetMedia(b.s)
		b.s.err, b.a.refuse = c.err, c.refuse
		_, err := b.Media.Publish(t.Context(), media.Request{})
		if (err == nil) != (c.err == nil && c.refuse == nil) {
			t.Errorf("%s: %v", name, err)
		}
		switch {
		case c.fate == "" && (len(b.a.settled) > 0 || len(b.s.published) > 0):
			t.Errorf("%s: published all the same", name)
		case c.fate != "" && (len(b.a.settled) != 1 || b.a.settled[0].Fate != c.fate || b.a.records[0].Verb != event.Publish):
			t.Errorf("%s: %v", name, b.a.settled)
		}
	}
}

func TestReads(t *testing.T) {
	b := newBench(t, step.Settings{})
	if _, known := b.Reads(); known {
		t.Error("without a media door somebody knows")
	}
	b.SetMedia(b.s)
	b.s.known, b.s.has, b.s.reads.Bytes, b.s.latest.Size = true, true, 5, 10
	for range 2 {
		if r, known := b.Reads(); !known || r.Bytes != 5 {
			t.Error(r)
		}
	}
	if b.a.told != 1 {
		t.Errorf("the same progress is told %d times", b.a.told)
	}
	if b.Reader("192.0.2.1") != "the BMC" || b.Reader("192.0.2.9") != "192.0.2.9" {
		t.Error("who read it")
	}
}

// TestMedium: what the restart demands of the image itself.
func TestMedium(t *testing.T) {
	const url = "http://x/a.iso"
	for name, c := range map[string]struct {
		change func(*shelf)
		guard  string
		warns  bool
	}{
		"in order":         {func(*shelf) {}, "", false},
		"gone":             {func(s *shelf) { s.fetch = &media.ErrGone{URL: url, Reason: "its file is gone"} }, "medium", false},
		"not served":       {func(s *shelf) { s.fetch = &media.ErrFetch{URL: url, Reason: "404", Final: true} }, "medium", false},
		"no way from here": {func(s *shelf) { s.fetch = &media.ErrFetch{URL: url, Reason: "no route"} }, "", true},
		"half of it":       {func(s *shelf) { s.known, s.reads.Cut = true, &media.Fetch{Bytes: 33e6, Size: 66e6} }, "medium", false},
		"still fetching":   {func(s *shelf) { s.known, s.reads.Fetching = true, &media.Fetch{Bytes: 33e6, Size: 66e6, Open: true} }, "medium", false},
		"another disk":     {func(s *shelf) { s.latest.Disks = []string{"serial S2"} }, "medium", false},
		"replaced":         {func(s *shelf) { s.latest.Digest = "another digest" }, "medium", false},
		"secure boot":      {func(s *shelf) { s.latest.FirstBoot = true }, "secure boot", false},
		"not ours":         {func(s *shelf) { s.latest.URL = "http://x/other.iso" }, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, step.Settings{Consent: all, Installs: true})
			b.mounted(url, "digest of a.iso")
			b.m.stock.SecureBoot = ptr(true)
			b.SetMedia(b.s)
			b.s.has = true
			b.s.latest = media.Published{URL: url, Digest: "digest of a.iso", Disks: []string{"serial S1"}}
			c.change(b.s)
			_, err := b.BMC.Admit(t.Context())
			b.refused(t, err, c.guard)
			if (len(b.a.warned) > 0) != c.warns {
				t.Error(b.a.warned)
			}
		})
	}
}

// TestFetchEnds: a fetch that ends while the guard looks is no reason to refuse.
func TestFetchEnds(t *testing.T) {
	const url = "http://x/a.iso"
	b := newBench(t, step.Settings{Consent: all, Installs: true})
	b.mounted(url, "digest of a.iso")
	b.SetMedia(b.s)
	b.s.has, b.s.known = true, true
	b.s.latest = media.Published{URL: url, Digest: "digest of a.iso", Disks: []string{"serial S1"}}
	b.s.reads.Fetching = &media.Fetch{Bytes: 33e6, Size: 66e6, Open: true}
	sleeps := 0
	b.a.onSleep = func() {
		if sleeps++; sleeps == 3 {
			b.s.reads.Fetching = nil
		}
	}
	if _, err := b.BMC.Admit(t.Context()); err != nil || sleeps != 3 {
		t.Error(sleeps, err)
	}
}

func TestConfirm(t *testing.T) {
	b := newBench(t, step.Settings{Consent: all})
	b.m.fate, b.m.writeErr = bmc.Refused, errors.New("409")
	if b.BMC.Reset(t.Context(), bmc.ResetOn, event.Intent{}); len(b.Made()) != 0 {
		t.Error("a refused change took place")
	}
	b.Confirm(b.a.records[0].ID)
	if made := b.Made(); len(made) != 1 || made[0].Fate != event.Done {
		t.Error(made)
	}
	if _, ok := b.History().LastReset(); !ok {
		t.Error("a reset that was done all the same is not on record")
	}
}

func TestFoundStarted(t *testing.T) {
	b := newBench(t, step.Settings{})
	if err := b.FoundStarted(t.Context(), event.Intent{Boots: true, Installs: true}); err != nil {
		t.Fatal(err)
	}
	if last, open := b.History().Installing(); !open || last.Step != b.StepName() || len(b.Made()) != 0 {
		t.Errorf("%+v, made %v", last, b.Made())
	}
	b.a.refuse = errors.New("no log")
	if err := b.FoundStarted(t.Context(), event.Intent{}); err == nil {
		t.Error("it is not on record")
	}
}

func TestLook(t *testing.T) {
	b := newBench(t, step.Settings{})
	b.mounted("http://x/a.iso", "")
	b.m.power = bmc.Power{State: bmc.On, Post: "InPost"}
	s, err := b.Look(t.Context(), time.Minute)
	if err != nil || s.String() != "power state On, InPost, slot CD1 holds http://x/a.iso, set to boot cd" {
		t.Errorf("%v, %v", s, err)
	}
	b.m.power.State = bmc.Off
	if s, _ := b.Look(t.Context(), time.Minute); s.Power.State != bmc.On {
		t.Error("a look that is not old enough is repeated")
	}
	b.a.now = b.a.now.Add(2 * time.Minute)
	if s, _ := b.Look(t.Context(), time.Minute); s.Power.State != bmc.Off {
		t.Error("an old look is not repeated")
	}
	b.a.now, b.m.err = b.a.now.Add(2*time.Minute), errors.New("no answer")
	if _, err := b.Look(t.Context(), time.Minute); err == nil {
		t.Error("the error is lost")
	}
}

func TestSleepAndPlace(t *testing.T) {
	b := newBench(t, step.Settings{})
	b.a.place = step.Place{Medium: "u"}
	if err := b.Sleep(t.Context(), time.Minute); err != nil || b.Now() != began.Add(time.Minute) || b.Place().Medium != "u" {
		t.Error(err, b.Now(), b.Place())
	}
}

type verdict struct{ retryable, unreachable bool }

func (v verdict) Error() string     { return "trouble" }
func (v verdict) Retryable() bool   { return v.retryable }
func (v verdict) Unreachable() bool { return v.unreachable }

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		err         error
		class       step.Class
		interrupted bool
	}{
		{errors.New("x"), step.Final, false}, {&step.Refusal{}, step.Final, false}, {&step.Failure{}, step.Final, false},
		{fmt.Errorf("x: %w", verdict{true, false}), step.Retryable, false}, {verdict{true, true}, step.Unreachable, true},
		{&net.OpError{Op: "dial", Err: syscall.EMFILE}, step.Retryable, false}, {fmt.Errorf("x: %w (%w)", syscall.ENFILE, verdict{true, true}), step.Retryable, false}, // of this machine
		{verdict{}, step.Final, false}, {&net.OpError{Err: os.ErrDeadlineExceeded}, step.Retryable, false}, {context.Canceled, step.Final, true},
	} {
		if step.Classify(c.err) != c.class || step.Interrupted(c.err) != c.interrupted {
			t.Errorf("%v: class %d, interrupted %v", c.err, step.Classify(c.err), step.Interrupted(c.err))
		}
	}
	if (&step.Failure{Reason: "a", Next: "b"}).Error() != "a. b" || (&step.Refusal{Reason: "a", Next: "b"}).Error() != "refused: a. b" {
		t.Error("errors in words")
	}
}

func TestFacts(t *testing.T) {
	b := newBench(t, step.Settings{})
	b.m.power, b.m.boot.Mode = bmc.Power{State: bmc.On, Post: "FinishedPost"}, "UEFI"
	b.m.slots[0].Loaded = true
	f, err := step.ReadFacts(t.Context(), b.Host)
	if err != nil || f.Vendor != "acme" || f.Power != "On" || f.BootMode != "UEFI" || len(f.Media) != 1 || f.Media[0].Image != "unknown image" || len(f.Drives) != 1 || f.SAN == nil {
		t.Errorf("%+v, %v", f, err)
	}
	b.m.err = errors.New("no answer")
	if _, err := step.ReadFacts(t.Context(), b.Host); err == nil {
		t.Error("the error is lost")
	}
}

func TestCloseWithoutAttempt(t *testing.T) {
	h := step.NewHost("p", newBench(t, step.Settings{}).Declared, step.Settings{})
	if err := h.Close(t.Context()); err != nil {
		t.Error(err)
	}
	m := &machine{}
	h.SetBMC(m)
	if err := h.Close(t.Context()); err != nil || !m.closed {
		t.Error(err)
	}
}

type arguments struct {
	Action string `json:"action" doc:"What."`
}

type result struct {
	Ready bool `json:"ready" doc:"Whether."`
}

func TestDefine(t *testing.T) {
	typ := step.Define(step.Spec[arguments, result]{Name: "fake", Summary: "Does.", Doc: "```hcl\n```", Most: step.Effects{Writes: true, Starts: true},
		Effects: func(a arguments) step.Effects { return step.Effects{Writes: true, Starts: a.Action == "on"} },
		Verdict: func(r result) event.Verdict { return event.Verdict{Proven: r.Ready} },
		Run: func(_ context.Context, _ *step.Host, a arguments) (result, error) {
			return result{a.Action == "on"}, nil
		},
		Recall: func(context.Context, *step.Host, arguments) (result, error) { return result{}, errors.New("nothing") },
	})
	if got, err := typ.Run(t.Context(), nil, json.RawMessage(`{"action":"on"}`)); err != nil || string(got) != `{"ready":true}` {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := typ.Run(t.Context(), nil, json.RawMessage(`{`)); err == nil {
		t.Error("broken arguments pass")
	}
	if _, err := typ.Recall(t.Context(), nil, json.RawMessage(`{}`)); err == nil {
		t.Error("the error is lost")
	}
	for text, starts := range map[string]bool{`{"action":"on"}`: true, `{"action":"off"}`: false, `{`: true, "": true} {
		var raw json.RawMessage
		if text != "" {
			raw = json.RawMessage(text)
		}
		if got := typ.Effects(raw).Starts; got != starts {
			t.Errorf("%q starts: %v", text, got)
		}
	}
	for text, proven := range map[string]bool{`{"ready":true}`: true, `{"ready":false}`: false} {
		if v := typ.Verdict(json.RawMessage(text)); v == nil || v.Proven != proven {
			t.Errorf("%s: %v", text, v)
		}
	}
	if typ.Verdict(nil) != nil || typ.Verdict(json.RawMessage(`[`)) != nil {
		t.Error("a verdict without a result")
	}
	plain := step.Define(step.Spec[arguments, result]{Name: "plain", Summary: "Does", Most: step.Effects{Disk: true},
		Run: func(context.Context, *step.Host, arguments) (result, error) { return result{}, errors.New("no") }})
	if !plain.Effects(json.RawMessage(`{"action":"on"}`)).Disk || plain.Verdict(json.RawMessage(`{}`)) != nil {
		t.Error("effects are the most, and there is no verdict")
	}
	if _, err := plain.Run(t.Context(), nil, json.RawMessage(`{}`)); err == nil {
		t.Error("the error is lost")
	}
	if err := step.Validate([]*step.Type{typ}); err != nil {
		t.Error(err)
	}
	if err := step.Validate([]*step.Type{plain, plain}); err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("%v", err)
	}
}
