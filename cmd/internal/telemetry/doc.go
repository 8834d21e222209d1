// Package telemetry makes OpenTelemetry traces of a run: run → host → step → request.
//
// [Open] looks at the variables that OpenTelemetry defines, such as
// OTEL_EXPORTER_OTLP_ENDPOINT, and starts nothing where they do not ask for traces. A
// [Traces] takes the events of a run and the requests to BMCs. It never waits for the
// collector: what does not fit into the queue of the SDK is dropped, and [Traces.Close] is
// bounded by its context. [Credentials] are what of these variables must be masked.
//
// Spans have names, times, numbers and the summaries of problems, masked; never bodies,
// headers or arguments of steps. The package opens no connection but the exporter's.
package telemetry
