package telemetry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"esxiplan/engine/event"
)

var begin = time.Date(2026, 9, 1, 8, 0, 0, 0, time.UTC)

func after(minutes int) time.Time { return begin.Add(time.Duration(minutes) * time.Minute) }

func mask(text string) string { return strings.ReplaceAll(text, "hunter22", "(sensitive)") }

// aRun is the events of a host that is installed and of one that fails, with the requests to their BMCs.
func aRun(t *Traces) {
	on := func(host string, minute int, e event.Event) {
		e.Host, e.Group, e.Machine, e.Time = host, "dell", "10.8.1.2", after(minute)
		t.Event(e)
	}
	ask := func(host string, minute int, method, path string, status int) {
		t.Request(host, Request{Time: after(minute), Took: time.Second, Method: method, Path: path, Status: status, Err: map[bool]error{true: errors.New("timeout")}[status == 0]})
	}
	ask("h1", 0, "GET", "/redfish/v1/early", 200) // before there is a run
	t.Event(event.Event{Kind: event.RunStarted, Run: "r1", Time: begin, Plan: &event.PlanInfo{Name: "lab", Hosts: []string{"h1", "h2"}}})
	on("h1", 0, event.Event{Kind: event.HostStarted})
	ask("h1", 1, "GET", "/redfish/v1/", 200)
	on("h1", 1, event.Event{Kind: event.StepStarted, Step: "restart", Type: "power"})
	ask("h1", 1, "GET", "/redfish/v1/Systems/1?token=hunter22", 200)
	on("h1", 2, event.Event{Kind: event.Retried, Step: "restart", Type: "power", Attempt: 2, Problem: &event.Problem{Summary: "the BMC is busy"}})
	ask("h1", 2, "POST", "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset", 204)
	on("h1", 3, event.Event{Kind: event.StepDone, Step: "restart", Type: "power", Status: event.Changed, Attempt: 2})
	on("h1", 3, event.Event{Kind: event.StepDone, Step: "late", Type: "power", Status: event.Skipped})
	on("h1", 4, event.Event{Kind: event.HostDone, Status: event.Changed})
	ask("h1", 4, "DELETE", "/redfish/v1/SessionService/Sessions/7", 200)
	on("h2", 0, event.Event{Kind: event.StepStarted, Step: "restart", Type: "power"})
	ask("h2", 1, "GET", "/redfish/v1/Systems/1", 0)
	on("h2", 2, event.Event{Kind: event.StepDone, Step: "restart", Type: "power", Status: event.Unreachable,
		Problem: &event.Problem{Summary: "no answer to hunter22", Next: "Look at the network."}})
	on("h2", 2, event.Event{Kind: event.HostDone, Status: event.Unreachable})
	t.Event(event.Event{Kind: event.RunDone, Time: after(5), Summary: &event.Summary{Exit: 4, Hosts: map[event.Status]int{event.Changed: 1, event.Unreachable: 1}}})
}

// recorded is a run as the exporter sees it.
func recorded(t *testing.T, above context.Context, run func(*Traces)) tracetest.SpanStubs {
	t.Helper()
	exporter := tracetest.NewInMemoryExporter()
	traces := newTraces(sdk.NewTracerProvider(sdk.WithSyncer(exporter)), above, Options{Mask: mask})
	run(traces)
	spans := exporter.GetSpans() // a shutdown forgets them
	if err := traces.Close(context.Background()); err != nil {
		t.Error(err)
	}
	return append(spans, exporter.GetSpans()...)
}

// tree draws spans as a tree, with their durations.
func tree(spans tracetest.SpanStubs, parent trace.SpanID, indent string) (out string) {
	children := slices.Clone(spans)
	slices.SortStableFunc(children, func(a, b tracetest.SpanStub) int {
		if d := a.StartTime.Compare(b.StartTime); d != 0 {
			return d
		}
		return strings.Compare(a.Name, b.Name)
	})
	for _, s := range children {
		if s.Parent.SpanID() != parent {
			continue
		}
		about := map[string]string{}
		for _, a := range s.Attributes {
			about[string(a.Key)] = a.Value.String()
		}
		out += fmt.Sprintf("%s%s %s", indent, s.Name, s.EndTime.Sub(s.StartTime))
		for _, name := range []string{"url.path", "http.response.status_code", "esxiplan.attempt", "esxiplan.status"} {
			if v, ok := about[name]; ok {
				out += " " + v
			}
		}
		if s.Status.Code == codes.Error {
			out += " ERROR " + s.Status.Description
		}
		for _, e := range s.Events {
			out += " (" + e.Name + ")"
		}
		out += "\n" + tree(spans, s.SpanContext.SpanID(), indent+"  ")
	}
	return out
}

// TestTree: the tree of each host is complete, run → host → step → request, with the times of
// the events.
func TestTree(t *testing.T) {
	spans := recorded(t, context.Background(), aRun)
	want := `run lab 5m0s ERROR exit code 4
  host h1 4m0s changed
    GET 1s /redfish/v1/ 200
    power restart 2m0s 2 changed (retry)
      GET 1s /redfish/v1/Systems/1?token=(sensitive) 200 1
      POST 1s /redfish/v1/Systems/1/Actions/ComputerSystem.Reset 204 2
    power late 0s skipped
    DELETE 1s /redfish/v1/SessionService/Sessions/7 200
  host h2 2m0s unreachable ERROR unreachable
    power restart 2m0s unreachable ERROR no answer to (sensitive)
      GET 1s /redfish/v1/Systems/1 1 ERROR 
`
	if got := tree(spans, trace.SpanID{}, ""); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if text := fmt.Sprintf("%+v", spans); strings.Contains(text, "hunter22") {
		t.Error("a secret is in a span")
	}
	for _, s := range spans {
		if s.SpanContext.TraceID() != spans[0].SpanContext.TraceID() {
			t.Errorf("%s is in another trace", s.Name)
		}
	}
}

// TestParent: a run belongs to the trace of what started it.
func TestParent(t *testing.T) {
	above := parent(func(name string) string {
		return map[string]string{"TRACEPARENT": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}[name]
	})
	for _, s := range recorded(t, above, aRun) {
		if s.SpanContext.TraceID().String() != "0af7651916cd43dd8448eb211c80319c" {
			t.Errorf("%s is in another trace", s.Name)
		}
		if strings.HasPrefix(s.Name, "run ") && s.Parent.SpanID().String() != "b7ad6b7169203331" {
			t.Errorf("the parent of the run is %s", s.Parent.SpanID())
		}
	}
}

// TestCutShort: a run that ended without saying so leaves no span open.
func TestCutShort(t *testing.T) {
	exporter := tracetest.NewInMemoryExporter()
	kept := &keeping{InMemoryExporter: exporter}
	traces := newTraces(sdk.NewTracerProvider(sdk.WithSyncer(kept)), context.Background(), Options{Mask: mask})
	traces.Event(event.Event{Kind: event.RunStarted, Time: begin, Plan: &event.PlanInfo{Name: "lab"}})
	traces.Event(event.Event{Kind: event.StepStarted, Host: "h1", Step: "s", Type: "power", Time: after(1)})
	traces.Close(context.Background())
	if got := tree(kept.spans, trace.SpanID{}, ""); got != "run lab 1m0s\n  host h1 0s\n    power s 0s\n" {
		t.Error(got)
	}
}

// keeping keeps spans beyond the shutdown.
type keeping struct {
	*tracetest.InMemoryExporter
	spans tracetest.SpanStubs
}

func (k *keeping) ExportSpans(_ context.Context, spans []sdk.ReadOnlySpan) error {
	k.spans = append(k.spans, tracetest.SpanStubsFromReadOnlySpans(spans)...)
	return nil
}

// hanging is an exporter whose collector never answers.
type hanging struct{ tracetest.NoopExporter }

func (*hanging) ExportSpans(ctx context.Context, _ []sdk.ReadOnlySpan) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestNothingWaits: a collector that hangs delays no event and no request, and the end by no
// more than it is given.
func TestNothingWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		traces := newTraces(sdk.NewTracerProvider(sdk.WithBatcher(&hanging{}, sdk.WithMaxQueueSize(16))), context.Background(), Options{Mask: mask})
		began := time.Now()
		for range 100 {
			aRun(traces)
		}
		if took := time.Since(began); took != 0 { // the clock of the bubble moves only where all wait
			t.Errorf("the events of the run waited for %s", took)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := traces.Close(ctx); err == nil || !strings.Contains(err.Error(), "did not answer") {
			t.Errorf("the end reports %v", err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the end waited for %s", took)
		}
		time.Sleep(time.Hour) // what the SDK still tries ends with its own bounds, one batch after the other
	})
}

// TestOpen: nothing is started that the environment does not ask for, and what cannot be had
// is said.
func TestOpen(t *testing.T) {
	const at = "http://127.0.0.1:4318"
	for name, c := range map[string]struct {
		env   map[string]string
		opens bool
		says  string
	}{
		"nothing":                 {nil, false, ""},
		"a service name only":     {map[string]string{"OTEL_SERVICE_NAME": "x"}, false, ""},
		"an endpoint":             {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": at}, true, ""},
		"one for traces":          {map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": at + "/v1/traces"}, true, ""},
		"disabled":                {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": at, "OTEL_SDK_DISABLED": "true"}, false, ""},
		"no exporter":             {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": at, "OTEL_TRACES_EXPORTER": "none"}, false, ""},
		"another exporter":        {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": at, "OTEL_TRACES_EXPORTER": "console"}, false, "otlp only"},
		"by grpc":                 {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": at, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, true, ""},
		"by an unknown protocol":  {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": at, "OTEL_EXPORTER_OTLP_PROTOCOL": "soap"}, false, "http/protobuf"},
		"a host without a scheme": {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317"}, false, "OTEL_EXPORTER_OTLP_ENDPOINT must be http://"},
	} {
		t.Run(name, func(t *testing.T) {
			traces, err := Open(func(name string) string { return c.env[name] }, Options{Mask: mask})
			if (traces != nil) != c.opens || (err != nil) != (c.says != "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, %v", traces, err)
			}
			if traces != nil {
				traces.Close(context.Background()) // there is nothing to send
			}
		})
	}
}
