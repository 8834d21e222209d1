package bmcsim

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Fault is trouble that a BMC makes. The zero values of Method, Path, Count and
// Rate mean any, any, always and every time.
type Fault struct {
	Kind    string // see [FaultKinds]
	Method  string
	Path    string  // part of the path
	Action  string  // of Kind "ignore": insert, eject, boot, clear, reset, on, override
	Count   int     // how many times; 0 is always
	After   int     // how many matching requests pass before
	Rate    float64 // share of the matching requests; 0 is all
	Status  int     // of Kind "status"
	Message string  // of Kind "status": MessageId, "" for one that says "busy"
	// Delay is how long each answer takes at least, in real time, so that requests meet.
	Delay time.Duration
}

// FaultKinds explains the kinds of faults.
var FaultKinds = map[string]string{
	"dead":   "nothing answers: connections are reset",
	"hang":   "no answer comes",
	"reset":  "the connection is reset instead of an answer",
	"lost":   "the request takes effect, the answer is lost",
	"late":   "the request takes effect, an HTTP error is answered",
	"html":   "a web page comes instead of Redfish",
	"empty":  "an HTTP error without a body comes",
	"status": "an HTTP error comes",
	"ignore": "success is answered, nothing happens",
	"idle":   "idle connections are dropped after a moment",
	"forget": "the BMC forgets all sessions",
	"full":   "the session table is full",

	"alone":   "a request that comes while another one is under way is answered 503",
	"fourth":  "the connection of a request that comes while three others are under way is reset",
	"shuffle": "every second answer takes longer, so that answers come out of order",

	"half":     "the transfer of an image is cut half-way at the insert, and success is answered",
	"deferred": "a request to power on is answered 409, and done a few seconds later",
	"early":    "someone else powers the machine on right after it was forced off",
	"cd-first": "the machine boots what is mounted, whatever its boot source override says",
}

// silent reports a kind that does not answer instead of the BMC.
func (f *Fault) silent() bool {
	return slices.Contains([]string{"alone", "fourth", "shuffle", "ignore", "idle", "full", "half", "deferred", "early", "cd-first"}, f.Kind)
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

// use reports whether a fault occurs, and counts it down.
func (f *Fault) use() bool {
	if f.Rate > 0 && rand.Float64() >= f.Rate {
		return false
	}
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

// trouble answers instead of the BMC. after is set when the request is to
// take effect first.
func (s *Sim) trouble(w http.ResponseWriter, r *http.Request) (after func(http.ResponseWriter), over bool) {
	s.mu.Lock()
	var f *Fault
	for _, candidate := range s.faults {
		if !candidate.silent() && candidate.matches(r) {
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
	case "late":
		return func(w http.ResponseWriter) { w.WriteHeader(f.Status) }, false
	case "hang":
		<-r.Context().Done()
	case "html":
		w.Header().Set("Content-Type", "text/html")
		w.Write([]byte("<html><body><h1>It works!</h1></body></html>"))
	case "empty":
		w.WriteHeader(f.Status)
	case "forget":
		s.forget()
		return nil, false
	case "status":
		message := f.Message
		if message == "" {
			message = "Base.1.8.ServiceTemporarilyUnavailable"
		}
		s.write(w, f.Status, extended(message, "30")) // the message is the fault's, not the firmware's
	}
	return nil, true
}

// crowded answers for a BMC that refuses further requests while too many are under way.
// Writes are not refused: a client sends them alone.
func (s *Sim) crowded(w http.ResponseWriter, r *http.Request, busy int) (over bool) {
	for _, f := range s.faults {
		switch {
		case r.Method != http.MethodGet:
		case f.Kind == "alone" && busy > 1:
			s.write(w, http.StatusServiceUnavailable, extended("Base.1.8.ServiceTemporarilyUnavailable", "1"))
			return true
		case f.Kind == "fourth" && busy > 3:
			hangUp(w)
			return true
		}
	}
	return false
}

// delay is how long the answer to a request takes, in real time.
func (s *Sim) delay(number int) time.Duration {
	out := s.c.Latency
	for _, f := range s.faults {
		if out = max(out, f.Delay); f.Kind == "shuffle" && number%2 == 0 {
			out += 2 * f.Delay
		}
	}
	return out
}

// forget ends all sessions, as a BMC does that restarts.
func (s *Sim) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed += len(s.sessions)
	clear(s.sessions)
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
func (s *Sim) ignores(action string) bool { return s.fails("ignore", action) }

// fails uses up a fault of a kind that changes what the BMC does.
func (s *Sim) fails(kind, action string) bool {
	for _, f := range s.faults {
		if f.Kind == kind && f.Action == action && f.use() {
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
	return s.p.Idle
}
