package telemetry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"esxiplan/engine/event"
	"esxiplan/engine/text"
)

// Traces make spans of one run. It may be used by several goroutines.
type Traces struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	o        Options
	problems *problems

	mu    sync.Mutex
	run   *open // nil before the run begins
	hosts map[string]*host
	above context.Context // the parent of the run
	last  time.Time       // of the last event: what is open at the end ends then
}

// open is a span that has not ended, with the context of its children.
type open struct {
	trace.Span
	ctx context.Context
}

// host are the spans of a host. A span that ended stays the parent of what comes late.
type host struct {
	open
	step    *open // nil between steps
	attempt int
	ended   bool
}

// Request is a request to a BMC and its answer.
type Request struct {
	Time   time.Time // when it was sent, on the clock of the run
	Took   time.Duration
	Method string
	Path   string
	Status int // 0: no answer
	Err    error
}

func newTraces(provider *sdk.TracerProvider, above context.Context, o Options) *Traces {
	return &Traces{provider: provider, tracer: provider.Tracer("esxiplan"), o: o, problems: &problems{}, hosts: map[string]*host{}, above: above}
}

// Event takes in an event of the run.
func (t *Traces) Event(e event.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = e.Time
	if e.Kind == event.RunStarted && e.Plan != nil && t.run == nil {
		t.run = t.start(t.above, "run "+e.Plan.Name, e.Time, attribute.String("esxiplan.run", e.Run), attribute.String("esxiplan.plan", e.Plan.Name),
			attribute.Int("esxiplan.hosts", len(e.Plan.Hosts)), attribute.Bool("esxiplan.simulated", t.o.Simulated))
		return
	}
	switch {
	case t.run == nil:
	case e.Kind == event.RunDone && e.Summary != nil:
		t.end(e)
	case e.Host != "":
		t.hostEvent(t.host(e), e)
	}
}

// host finds the spans of a host. What a host is before it starts is not seen.
func (t *Traces) host(e event.Event) *host {
	h := t.hosts[e.Host]
	if h == nil {
		h = &host{open: *t.start(t.run.ctx, "host "+e.Host, e.Time, attribute.String("esxiplan.host", e.Host),
			attribute.String("esxiplan.group", e.Group), attribute.String("server.address", e.Machine))}
		t.hosts[e.Host] = h
	}
	return h
}

func (t *Traces) hostEvent(h *host, e event.Event) {
	switch e.Kind {
	case event.StepStarted:
		h.step, h.attempt = t.startStep(h, e, e.Time), 1
	case event.Retried:
		if h.step != nil {
			h.attempt = e.Attempt
			h.step.AddEvent("retry", trace.WithTimestamp(e.Time), trace.WithAttributes(t.about(e)...))
		}
	case event.Progressed:
		h.attempt = max(h.attempt, e.Attempt)
	case event.StepDone:
		if h.step == nil { // it was over as soon as it began
			h.step = t.startStep(h, e, e.Time.Add(-time.Duration(e.Elapsed)))
		}
		t.close(h.step, e)
		h.step = nil
	case event.HostDone:
		if !h.ended {
			t.close(&h.open, e)
			h.ended = true
		}
	}
}

func (t *Traces) startStep(h *host, e event.Event, at time.Time) *open {
	name := e.Step
	if e.Type != "" {
		name = e.Type + " " + e.Step
	}
	return t.start(h.ctx, name, at, attribute.String("esxiplan.host", e.Host), attribute.String("esxiplan.step", e.Step), attribute.String("esxiplan.step.type", e.Type))
}

func (t *Traces) start(ctx context.Context, name string, at time.Time, about ...attribute.KeyValue) *open {
	ctx, span := t.tracer.Start(ctx, t.clean(name), trace.WithTimestamp(at), trace.WithAttributes(about...))
	return &open{span, ctx}
}

// close ends the span of a step or a host as it ended.
func (t *Traces) close(o *open, e event.Event) {
	o.SetAttributes(attribute.String("esxiplan.status", string(e.Status)))
	o.SetAttributes(t.about(e)...)
	if e.Status.Failure() {
		why := string(e.Status)
		if e.Problem != nil {
			why = e.Problem.Summary
		}
		o.SetStatus(codes.Error, t.clean(why))
	}
	o.End(trace.WithTimestamp(e.Time))
}

// about are attributes of what happened.
func (t *Traces) about(e event.Event) (out []attribute.KeyValue) {
	if e.Attempt > 0 {
		out = append(out, attribute.Int("esxiplan.attempt", e.Attempt))
	}
	if p := e.Problem; p != nil {
		out = append(out, attribute.String("esxiplan.problem", t.clean(p.Summary)))
		if p.Next != "" {
			out = append(out, attribute.String("esxiplan.problem.next", t.clean(p.Next)))
		}
	}
	if v := e.Verdict; v != nil {
		out = append(out, attribute.Bool("esxiplan.proven", v.Proven))
	}
	return out
}

func (t *Traces) clean(s string) string { return t.o.Mask(text.Clean(s)) }

// end ends the run, and what is open in it.
func (t *Traces) end(e event.Event) {
	t.endHosts(e.Time)
	t.run.SetAttributes(attribute.Int("esxiplan.exit", e.Summary.Exit), attribute.Bool("esxiplan.interrupted", e.Summary.Interrupted))
	for status, n := range e.Summary.Hosts {
		t.run.SetAttributes(attribute.Int("esxiplan.hosts."+string(status), n))
	}
	if e.Summary.Exit != event.ExitOK {
		t.run.SetStatus(codes.Error, fmt.Sprintf("exit code %d", e.Summary.Exit))
	}
	t.run.End(trace.WithTimestamp(e.Time))
}

// endHosts ends what the run left open.
func (t *Traces) endHosts(at time.Time) {
	for _, h := range t.hosts {
		if h.step != nil {
			h.step.End(trace.WithTimestamp(at))
			h.step = nil
		}
		if !h.ended {
			h.End(trace.WithTimestamp(at))
			h.ended = true
		}
	}
}

// Request takes in a request to a host's BMC. It belongs to the step that the host is in.
func (t *Traces) Request(name string, r Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.run == nil {
		return
	}
	ctx, about := t.run.ctx, []attribute.KeyValue{attribute.String("esxiplan.host", name), attribute.String("http.request.method", r.Method), attribute.String("url.path", t.clean(r.Path))}
	if h := t.hosts[name]; h != nil {
		ctx = h.ctx
		if h.step != nil {
			ctx, about = h.step.ctx, append(about, attribute.Int("esxiplan.attempt", h.attempt))
		}
	}
	_, span := t.tracer.Start(ctx, r.Method, trace.WithTimestamp(r.Time), trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(about...))
	switch {
	case r.Status != 0:
		span.SetAttributes(attribute.Int("http.response.status_code", r.Status))
	case r.Err != nil:
		span.SetAttributes(attribute.String("error.type", "no answer"))
	}
	if r.Status == 0 || r.Status >= 400 {
		span.SetStatus(codes.Error, "")
	}
	span.End(trace.WithTimestamp(r.Time.Add(r.Took)))
}

// Close ends what is open and sends what is left, as long as ctx lasts. The error says that
// traces, or some of them, did not reach the collector.
func (t *Traces) Close(ctx context.Context) error {
	t.mu.Lock()
	if t.run != nil {
		t.endHosts(t.last)
		t.run.End(trace.WithTimestamp(t.last)) // nothing, where it has ended
	}
	t.mu.Unlock()
	err := t.provider.Shutdown(ctx)
	if said := t.problems.err(); said != nil {
		err = said
	}
	switch err = withoutURL(err); {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return errors.New("the collector did not answer in time")
	}
	return errors.New(t.clean(err.Error()))
}
