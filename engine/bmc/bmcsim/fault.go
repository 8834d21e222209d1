package bmcsim

import (
	"net/http"
	"strings"
	"time"
)

// Fault is trouble that a BMC makes. The zero values of Method, Path and Count
// mean any, any and always.
type Fault struct {
	Kind   string // see [FaultKinds]
	Method string
	Path   string // part of the path
	Action string // of Kind "ignore": insert, eject, boot, reset, override
	Count  int    // how many times; 0 is always
	After  int    // how many matching requests pass before
	Status int    // of Kind "status"
}

// FaultKinds explains the kinds of faults.
var FaultKinds = map[string]string{
	"dead":   "nothing answers: connections are reset",
	"hang":   "no answer comes",
	"reset":  "the connection is reset instead of an answer",
	"lost":   "the request takes effect, the answer is lost",
	"html":   "a web page comes instead of Redfish",
	"status": "an HTTP error comes",
	"ignore": "success is answered, nothing happens",
	"idle":   "idle connections are dropped after a moment",
}

func (f *Fault) matches(r *http.Request) bool {
	if f.Method != "" && f.Method != r.Method || !strings.Contains(r.URL.Path, f.Path) {
		return false
	}
	if f.After > 0 {
		f.After--
		return false
	}
	return f.use()
}

// use counts a fault down; one that is used up stays so.
func (f *Fault) use() bool {
	switch {
	case f.Count < 0:
		return false
	case f.Count == 1:
		f.Count = -1
	case f.Count > 1:
		f.Count--
	}
	return true
}

// trouble answers in the place of the BMC. after is set when the request is to
// take effect first.
func (s *Sim) trouble(w http.ResponseWriter, r *http.Request) (after func(http.ResponseWriter), over bool) {
	s.mu.Lock()
	var f *Fault
	for _, candidate := range s.faults {
		if candidate.Kind != "ignore" && candidate.Kind != "idle" && candidate.matches(r) {
			f = candidate
			break
		}
	}
	s.mu.Unlock()
	if f == nil {
		return nil, false
	}
	switch f.Kind {
	case "dead", "reset":
		hangUp(w)
	case "lost":
		return hangUp, false
	case "hang":
		<-r.Context().Done()
	case "html":
		w.Header().Set("Content-Type", "text/html")
		w.Write([]byte("<html><body><h1>It works!</h1></body></html>"))
	case "status":
		s.fail(w, f.Status, "Base.1.8.ServiceTemporarilyUnavailable", "30")
	}
	return nil, true
}

// hangUp resets the connection.
func hangUp(w http.ResponseWriter) {
	if rec, ok := w.(*recorder); ok {
		w = rec.ResponseWriter
	}
	h, ok := w.(http.Hijacker)
	if !ok {
		return
	}
	if conn, _, err := h.Hijack(); err == nil {
		conn.Close()
	}
}

// ignores reports whether an action is answered with success and not done.
func (s *Sim) ignores(action string) bool {
	for _, f := range s.faults {
		if f.Kind == "ignore" && f.Action == action && f.use() {
			return true
		}
	}
	return false
}

func (s *Sim) idleLimit() time.Duration {
	for _, f := range s.faults {
		if f.Kind == "idle" {
			return 500 * time.Millisecond
		}
	}
	return 0
}
