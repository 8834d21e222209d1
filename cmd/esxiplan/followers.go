package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"sync"
	"syscall"
	"time"

	"esxiplan/cmd/internal/metrics"
	"esxiplan/cmd/internal/telemetry"
	"esxiplan/engine/bmc"
	"esxiplan/engine/event"
	"esxiplan/engine/notify"
)

// atEnd bounds how long what follows a run may take once the run is over.
const atEnd = 5 * time.Second

// outward takes out of a text what must not leave this machine: secrets, and the part
// of the URL of a published image by which it cannot be guessed.
func (a *app) outward(text string) string {
	return imageToken.ReplaceAllString(a.secrets.Mask(text), "/…/")
}

// imageToken is that part, in the path of the URL.
var imageToken = regexp.MustCompile(`/[0-9a-f]{32}/`)

// followers get the events of a run next to its view, and send them elsewhere. What goes wrong
// there is a warning: it never delays or fails the run.
type followers struct {
	*request
	notify  *notify.Sink      // nil: there is no target
	traces  *telemetry.Traces // nil: none are asked for
	metrics *metrics.Run      // nil: none are asked for
	file    string            // of the metrics
	over    chan struct{}     // closed once the run is over
	writing sync.WaitGroup    // of metrics meanwhile
}

// follow begins to follow a run. An error is one of usage, before anything was started.
func (r *request) follow() (f *followers, err error) {
	f = &followers{request: r, over: make(chan struct{})}
	if name := r.flags.outputs.metrics; name != "" {
		f.metrics, f.file = metrics.New(version, r.site.sim != nil), resolved(name)
	}
	if f.notify, err = r.notifier(); err != nil {
		return nil, err
	}
	if f.metrics != nil {
		f.writing.Go(f.writeMetrics)
	}
	f.traces = r.traced()
	r.requests = f.forRequests()
	return f, nil
}

// metricsEvery is how often metrics are written while the run is under way.
const metricsEvery = time.Minute

// writeMetrics writes metrics until the run is over. What goes wrong meanwhile does so at the
// end, too, which says it.
func (f *followers) writeMetrics() {
	for ticks := time.NewTicker(metricsEvery); ; {
		select {
		case <-ticks.C:
			f.metrics.WriteFile(f.file)
		case <-f.over:
			ticks.Stop()
			return
		}
	}
}

// traced are traces of the run, where the environment asks for them. A plan that is not
// trusted is followed by nothing that opens a connection.
func (r *request) traced() *telemetry.Traces {
	if r.plan.Untrusted() {
		return nil
	}
	r.secrets.Add(telemetry.Credentials(os.Getenv)...)
	traces, err := telemetry.Open(os.Getenv, telemetry.Options{Version: version, Simulated: r.site.sim != nil, Mask: r.outward})
	if err != nil {
		fmt.Fprintf(r.streams.Err, "warning: no traces are exported: %v\n", err)
	}
	return traces
}

// forRequests takes the requests to BMCs into the traces.
func (f *followers) forRequests() func(host string, x bmc.Exchange) {
	if f.traces == nil {
		return nil
	}
	return func(host string, x bmc.Exchange) {
		f.traces.Request(host, telemetry.Request{Time: f.clock.At(x.Time), Took: f.clock.Scaled(x.Took), Method: x.Method, Path: x.Path, Status: x.Status, Err: x.Err})
	}
}

// show adds the followers to a view.
func (f *followers) show(view func(event.Event)) func(event.Event) {
	return func(e event.Event) {
		view(e)
		if f.notify != nil {
			f.notify.Event(e)
		}
		if f.traces != nil {
			f.traces.Event(e)
		}
		if f.metrics != nil {
			f.metrics.Event(e)
		}
	}
}

// earlier adds the followers to what takes in the events of before a run was continued: they
// count, and nothing is sent for them.
func (f *followers) earlier(view func(event.Event)) func(event.Event) {
	return func(e event.Event) {
		view(e)
		if f.notify != nil {
			f.notify.Earlier(e)
		}
		if f.metrics != nil {
			f.metrics.Earlier(e)
		}
	}
}

// close ends what follows the run, all at once, and says what did not arrive. An interrupt
// ends the waiting.
func (f *followers) close() {
	close(f.over)
	ctx, cancel := context.WithTimeout(context.Background(), atEnd)
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	var work sync.WaitGroup
	var undelivered []string
	var untraced, unwritten error
	if f.notify != nil {
		work.Go(func() { undelivered = f.notify.Close(ctx) })
	}
	if f.traces != nil {
		work.Go(func() { untraced = f.traces.Close(ctx) })
	}
	if f.metrics != nil {
		f.writing.Wait()
		unwritten = f.metrics.WriteFile(f.file)
	}
	work.Wait()
	for _, line := range undelivered {
		f.warn("%s", line)
	}
	if untraced != nil {
		f.warn("traces of the run did not reach the collector, or not all of them: %v", untraced)
	}
	if unwritten != nil {
		f.warn("--metrics: %v", unwritten)
	}
}

// warn says what went wrong next to the run.
func (f *followers) warn(format string, values ...any) {
	fmt.Fprintf(f.streams.Err, "warning: "+format+"\n", values...)
}
