package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"esxiplan/cmd/internal/view"
	"esxiplan/engine/bmc"
	"esxiplan/engine/event"
	"esxiplan/engine/secret"
	"esxiplan/schema"
)

// TestTraceOnFullDisk: a trace that cannot be written any more is told once, and ended.
func TestTraceOnFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil && os.Getenv("CI") != "" {
		t.Fatal(err)
	} else if err != nil {
		t.Skip("there is no /dev/full here")
	}
	var said bytes.Buffer
	trace, err := newTracer(traceFlags{dir: t.TempDir()}, &said, secret.New(schema.Hidden))
	if err != nil {
		t.Fatal(err)
	}
	trace.files["h1"] = full
	for range 3 {
		trace.of("h1")(bmc.Exchange{Method: "GET", Path: "/redfish/v1/", Status: 200})
	}
	trace.close()
	if text := said.String(); strings.Count(text, "the trace of h1 ends here") != 1 || !strings.Contains(text, "no space left") {
		t.Errorf("said %q", text)
	}
}

// TestProblemsDrawNothing: what is found in a plan before a run stands in its events without
// characters that a terminal obeys.
func TestProblemsDrawNothing(t *testing.T) {
	var out, said bytes.Buffer
	a := newApp(nil, &view.Streams{Out: &out, Err: &said})
	a.jsonl = true
	a.event(&event.Problem{Summary: "a\u009b31m", Detail: "b\u202ec\nd\x1b[0m", At: "x\x07.hcl:1:1"})
	if text := out.String(); strings.ContainsAny(text, "\u009b\u202e\x1b\x07") || strings.Contains(text, `\u001b`) || !strings.Contains(text, `c\nd`) {
		t.Errorf("%q", text)
	}
}
