package telemetry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// Options say what the traces are of.
type Options struct {
	Version   string              // of esxiplan
	Simulated bool                // the machines are simulated ones
	Mask      func(string) string // takes secrets out of a text
}

// queued is how many spans wait for the exporter, unless OTEL_BSP_MAX_QUEUE_SIZE says
// otherwise: some minutes of a run of a thousand hosts.
const queued = 1 << 15

// Open starts to export traces as the variables of the environment ask. It returns nil where
// they ask for none, and an error where they ask for what there is not.
func Open(env func(string) string, o Options) (*Traces, error) {
	if !wanted(env) {
		return nil, nil
	}
	if err := checkEndpoints(env); err != nil {
		return nil, err
	}
	client, err := clientFor(protocol(env))
	if err != nil {
		return nil, err
	}
	problems := listen()
	ctx := context.Background()
	exporter, err := otlptrace.New(ctx, client) // opens no connection
	if err != nil {
		return nil, err
	}
	var batch []sdk.BatchSpanProcessorOption
	if env("OTEL_BSP_MAX_QUEUE_SIZE") == "" {
		batch = append(batch, sdk.WithMaxQueueSize(queued))
	}
	about, err := resource.New(ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", "esxiplan"), attribute.String("service.version", o.Version)), resource.WithFromEnv())
	if err != nil {
		problems.Handle(err)
	}
	t := newTraces(sdk.NewTracerProvider(sdk.WithBatcher(exporter, batch...), sdk.WithResource(about)), parent(env), o)
	t.problems = problems
	return t, nil
}

// wanted reports that traces are asked for.
func wanted(env func(string) string) bool {
	switch {
	case strings.EqualFold(env("OTEL_SDK_DISABLED"), "true"), env("OTEL_TRACES_EXPORTER") == "none":
		return false
	}
	return env("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}

// checkEndpoints refuses what the exporter would pass by in silence.
func checkEndpoints(env func(string) string) error {
	if exporter := env("OTEL_TRACES_EXPORTER"); exporter != "" && exporter != "otlp" {
		return fmt.Errorf("OTEL_TRACES_EXPORTER is %q; esxiplan exports traces by otlp only. Unset it, or set it to otlp or none", exporter)
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"} {
		text := env(name)
		if text == "" {
			continue
		}
		if u, err := url.Parse(text); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("%s must be http:// or https:// with a host, such as http://127.0.0.1:4318", name)
		}
	}
	return nil
}

// protocol is how the collector is spoken to.
func protocol(env func(string) string) string {
	return cmp.Or(env("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), env("OTEL_EXPORTER_OTLP_PROTOCOL"), "http/protobuf")
}

// clientFor makes what sends traces. It reads its own variables.
func clientFor(protocol string) (otlptrace.Client, error) {
	switch protocol {
	case "http/protobuf", "http/json":
		return otlptracehttp.NewClient(), nil
	case "grpc":
		return otlptracegrpc.NewClient(), nil
	}
	return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL is %q; there are http/protobuf, http/json and grpc", protocol)
}

// parent is the span that started this process, by TRACEPARENT.
func parent(env func(string) string) context.Context {
	return propagation.TraceContext{}.Extract(context.Background(),
		propagation.MapCarrier{"traceparent": env("TRACEPARENT"), "tracestate": env("TRACESTATE")})
}

// problems keep what the SDK reports, which by default it writes to standard error.
type problems struct {
	mu    sync.Mutex
	last  error
	count int
}

// listen makes the SDK report here.
func listen() *problems {
	p := &problems{}
	otel.SetErrorHandler(p)
	silence(otel.SetLogger)
	return p
}

// silence gives the zero value to the setter of a logger, which logs nothing: the SDK logs
// what it reports, too, and the values of variables that it cannot read.
func silence[T any](set func(T)) {
	var nothing T
	set(nothing)
}

// Handle implements [otel.ErrorHandler].
func (p *problems) Handle(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.last = err
		p.count++
	}
}

// err is what was reported, in one line.
func (p *problems) err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count < 2 {
		return p.last
	}
	return fmt.Errorf("%w (and %d more)", p.last, p.count-1)
}

// withoutURL takes the URL of the collector out of an error.
func withoutURL(err error) error {
	var inURL *url.Error
	if errors.As(err, &inURL) {
		return inURL.Err
	}
	return err
}
