package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// hooks receive what runs send, and answer by the path: /broken with 500, /hang never.
type hooks struct {
	*httptest.Server

	mu     sync.Mutex
	bodies map[string][]string // by path
}

func newHooks() *hooks {
	h := &hooks{bodies: map[string][]string{}}
	h.Server = httptest.NewServer(h)
	return h
}

// ServeHTTP implements [http.Handler].
func (h *hooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	h.bodies[r.URL.Path] = append(h.bodies[r.URL.Path], string(body))
	h.mu.Unlock()
	switch r.URL.Path {
	case "/broken":
		http.Error(w, "no such luck", http.StatusInternalServerError)
	case "/hang":
		<-r.Context().Done()
	}
}

// all is what came to a path, one body a line.
func (h *hooks) all(path string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.bodies[path], "\n")
}

// receivers are the hooks of scripts.
var receivers sync.Map

// startHooks begins to receive; HOOKS is the address.
func startHooks(ts *testscript.TestScript, _ bool, _ []string) {
	h := newHooks()
	ts.Defer(func() {
		h.CloseClientConnections()
		h.Close()
	})
	receivers.Store(ts, h)
	ts.Setenv("HOOKS", h.URL)
}

// received prints what came to a path.
func received(ts *testscript.TestScript, _ bool, args []string) {
	h, ok := receivers.Load(ts)
	if !ok {
		ts.Fatalf("nothing receives: write hooks first")
	}
	fmt.Fprintln(ts.Stdout(), h.(*hooks).all(args[0]))
}

// span is one of OTLP in JSON, where identifiers are in capitals.
type span struct {
	Name, SpanID, ParentSpanID, TraceID string
	Attributes                          []struct {
		Key   string
		Value struct{ StringValue, IntValue string }
	}
}

func (s span) attribute(key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value.StringValue + a.Value.IntValue
		}
	}
	return ""
}

// spansIn reads the bodies that an exporter sent.
func spansIn(t *testing.T, bodies string) (all []span) {
	t.Helper()
	for d := json.NewDecoder(strings.NewReader(bodies)); ; {
		var body struct {
			ResourceSpans []struct{ ScopeSpans []struct{ Spans []span } }
		}
		if err := d.Decode(&body); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		for _, r := range body.ResourceSpans {
			for _, s := range r.ScopeSpans {
				all = append(all, s.Spans...)
			}
		}
	}
}

// TestTraceOfARun: a collector receives the whole tree of each host of a run: the run, the
// host, every step of the plan, and in each step that asks the BMC for more than was read
// before, its requests.
func TestTraceOfARun(t *testing.T) {
	t.Parallel()
	h := newHooks()
	defer h.Close()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "site.hcl"), []byte(fleetPlan(2, `listen = "127.0.0.1:0"`)), 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(os.Args[0], "rehearse", "site.hcl", "--speed", "200")
	c.Dir = dir
	c.Env = append(os.Environ(), "ESXIPLAN_AS_COMMAND=1", "OTEL_EXPORTER_OTLP_ENDPOINT="+h.URL, "OTEL_EXPORTER_OTLP_PROTOCOL=http/json", "OTEL_EXPORTER_OTLP_HEADERS=x-scope-orgid=login",
		"TRACEPARENT=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), "| login (precheck) ok") {
		t.Errorf("the name of a tenant is masked in\n%s", out)
	}
	bodies := h.all("/v1/traces")
	spans := spansIn(t, bodies)
	children := func(parent string) []span {
		return slices.DeleteFunc(slices.Clone(spans), func(s span) bool { return s.ParentSpanID != parent })
	}
	runs := children("B7AD6B7169203331")
	if len(runs) != 1 || runs[0].Name != "run fleet" || runs[0].attribute("esxiplan.exit") != "0" {
		t.Fatalf("%d runs of %d spans: %+v\n%.1000s", len(runs), len(spans), runs, bodies)
	}
	under := 1
	for _, host := range children(runs[0].SpanID) {
		if under++; host.Name == "GET" { // before the host's first step
			continue
		}
		steps := map[string]int{}
		for _, s := range children(host.SpanID) {
			requests := len(children(s.SpanID))
			under += 1 + requests
			steps[s.Name] = requests
			if s.attribute("esxiplan.step") != "" && s.attribute("esxiplan.status") == "" {
				t.Errorf("%s, %s has not ended", host.Name, s.Name)
			}
		}
		for name, asks := range map[string]bool{"precheck login": true, "build_iso installer": false, "eject leftovers": false, "insert installer_cd": true,
			"one_time_boot cd": true, "power restart": true, "wait installed": true} {
			if n, there := steps[name]; !there || asks && n == 0 {
				t.Errorf("%s, step %s: there %v, with %d requests", host.Name, name, there, n)
			}
		}
	}
	if under != len(spans) {
		t.Errorf("%d of %d spans are in the tree", under, len(spans))
	}
	if hosts := strings.Count(bodies, `"name":"host h`); hosts != 2 {
		t.Errorf("%d hosts", hosts)
	}
	for _, secret := range []string{"calvin-dell", "Test-password-1x"} {
		if strings.Contains(bodies, secret) {
			t.Errorf("%s is in the traces", secret)
		}
	}
}
