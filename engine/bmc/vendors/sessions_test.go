package vendors_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/bmc/bmcsim"
	"esxiplan/engine/bmc/vendors"
)

// realClock is the clock of a synctest bubble.
type realClock struct{}

func (realClock) Now() time.Time                     { return time.Now() }
func (realClock) Real(d time.Duration) time.Duration { return d }

// record is what a log holds of a login.
type record struct {
	bmc.Session
	process int
	closed  bool
}

// sessionLog is the log of several processes, one after the other.
type sessionLog struct {
	process int
	logins  []*record
	// What a crash prevents: sending the login of that number, recording that it opened a
	// session, and recording that one was closed.
	dies, forgets, stays int
}

var errCrash = errors.New("the process died")

func (l *sessionLog) SessionAsked(_, id string, at time.Time) error {
	l.logins = append(l.logins, &record{Session: bmc.Session{ID: id, Asked: at}, process: l.process})
	if len(l.logins) == l.dies {
		return errCrash
	}
	return nil
}

func (l *sessionLog) find(id string) (n int, r *record) {
	n = slices.IndexFunc(l.logins, func(r *record) bool { return r.ID == id })
	return n + 1, l.logins[n]
}

func (l *sessionLog) SessionOpened(_, id, uri string) {
	if n, r := l.find(id); n != l.forgets {
		r.URI = uri
	}
}

func (l *sessionLog) SessionClosed(_, id string) {
	if n, r := l.find(id); n != l.stays {
		r.closed = true
	}
}

func (l *sessionLog) Leftover(string) (out []bmc.Session) {
	for _, r := range l.logins {
		if r.process != l.process && !r.closed {
			out = append(out, r.Session)
		}
	}
	return out
}

// station is a simulated BMC, reached without sockets, so that time may be the bubble's.
type station struct {
	sim    *bmcsim.Sim
	log    *sessionLog
	dial   bmc.DialFunc
	warned []string
	others []string // sessions of other clients
}

func newStation(t *testing.T, p bmcsim.Profile, log *sessionLog, faults ...bmcsim.Fault) *station {
	return stationOf(t, bmcsim.Config{Profile: p, Faults: faults}, log)
}

func stationOf(t *testing.T, config bmcsim.Config, log *sessionLog) *station {
	config.Clock, config.Username, config.Password, config.Serial, config.UUID = realClock{}, "root", "calvin", "SN1", "4c4c4544-0058-5110-8034-b7c04f543933"
	config.Accounts = map[string]string{"alice": "wonderland"}
	sim := bmcsim.New(config)
	conns := pipes{make(chan net.Conn), make(chan struct{})}
	server := &http.Server{Handler: sim}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(conns)
	}()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	return &station{sim: sim, log: log, dial: conns.dial}
}

// process opens the BMC as a new process does.
func (s *station) process(t *testing.T, change func(*bmc.Options)) bmc.Client {
	t.Helper()
	s.log.process++
	o := bmc.Options{Address: "http://192.0.2.9", Username: "root", Password: "calvin", Vendors: vendors.All(), Dial: s.dial, Sessions: s.log, Warn: func(text string) { s.warned = append(s.warned, text) }}
	if change != nil {
		change(&o)
	}
	c, err := bmc.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// loginOther logs in with the same user: as a person, another tool, another machine's esxiplan.
func (s *station) loginOther(t *testing.T, from, context string) {
	t.Helper()
	body := `{"UserName":"root","Password":"calvin"}`
	if context != "" {
		body = fmt.Sprintf(`{"UserName":"root","Password":"calvin","Context":%q}`, context)
	}
	s.logsIn(t, from, body)
}

func (s *station) logsIn(t *testing.T, from, body string) {
	t.Helper()
	before := s.sim.OpenSessions()
	r := httptest.NewRequest(http.MethodPost, "/redfish/v1/SessionService/Sessions", strings.NewReader(body))
	r.RemoteAddr = from
	w := httptest.NewRecorder()
	s.sim.ServeHTTP(w, r)
	for _, id := range s.sim.OpenSessions() {
		if !slices.Contains(before, id) {
			s.others = append(s.others, id)
			return
		}
	}
	t.Fatalf("the login failed: %d %s", w.Code, w.Body)
}

// crowd logs others in a minute before or after what happens between two calls; some
// firmware has no room for more than a few.
func (s *station) crowd(t *testing.T) {
	t.Helper()
	time.Sleep(time.Minute)
	s.loginOther(t, "pipe", "") // from the address of our own sessions
	time.Sleep(time.Minute)
}

// ours lists the sessions that are open and not of others. Others must all be there.
func (s *station) ours(t *testing.T) (ours []string) {
	t.Helper()
	open := s.sim.OpenSessions()
	for _, id := range s.others {
		if !slices.Contains(open, id) {
			t.Errorf("session %s of another client was closed", id)
		}
	}
	return slices.DeleteFunc(open, func(id string) bool { return slices.Contains(s.others, id) })
}

// withSessions lists the firmware that knows sessions.
func withSessions() []bmcsim.Profile {
	return slices.DeleteFunc(bmcsim.Profiles(), func(p bmcsim.Profile) bool { return p.BasicOnly })
}

// identifies reports whether firmware shows what identifies a session: the client's mark,
// or when it was opened.
func identifies(p bmcsim.Profile) bool {
	return p.Sessions.Context || p.Sessions.Created || p.Sessions.Oem
}

// lostLogin loses the answer to our first login, which comes after that of another client.
var lostLogin = bmcsim.Fault{Kind: "lost", Method: http.MethodPost, Path: "/Sessions", After: 1, Count: 1}

// dying is a process that dies before it can try again.
func dying(o *bmc.Options) {
	o.Sleep = func(context.Context, time.Duration) error { return errCrash }
}

// crashes are the moments at which a process may die, and whether its session is known by
// then.
var crashes = []struct {
	name   string
	log    sessionLog
	faults []bmcsim.Fault
	known  bool // what is recorded names the session
	run    func(context.Context, bmc.Client)
	dies   bool // while it waits to try again
}{
	{name: "before the login", log: sessionLog{dies: 1}, run: identify},
	{name: "before the answer", faults: []bmcsim.Fault{lostLogin}, run: identify, dies: true},
	{name: "before the second login", log: sessionLog{dies: 2}, faults: []bmcsim.Fault{lostLogin}, run: identify},
	{name: "before the record", log: sessionLog{forgets: 1}, run: identify},
	{name: "at work", known: true, run: identify},
	{name: "after a new login", known: true, faults: []bmcsim.Fault{{Kind: "status", Status: 401, Message: "Base.1.8.NoValidSession", Method: http.MethodGet, Path: "/Managers", Count: 1}}, run: identify},
	{name: "before the logout's answer", known: true, faults: []bmcsim.Fault{{Kind: "lost", Method: http.MethodDelete, Count: 4}}, run: leave},
	{name: "before the logout's record", log: sessionLog{stays: 1}, known: true, run: leave},
}

func identify(ctx context.Context, c bmc.Client) { c.Identity(ctx) }

func leave(ctx context.Context, c bmc.Client) {
	c.Identity(ctx)
	c.Close(ctx)
}

// TestCrashLeavesNoSession: whenever a process dies, the next one closes its session, and
// none of another client. Firmware that shows too little keeps it, with a warning.
func TestCrashLeavesNoSession(t *testing.T) {
	for _, p := range withSessions() {
		for _, crash := range crashes {
			t.Run(p.Name+"/"+crash.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					log := crash.log
					s := newStation(t, p, &log, crash.faults...)
					s.crowd(t)
					change := func(*bmc.Options) {}
					if crash.dies {
						change = dying
					}
					crash.run(t.Context(), s.process(t, change))
					s.crowd(t)
					s.survives(t, crash.known || identifies(p))
				})
			})
		}
	}
}

// survives lets the next process find what the previous one left.
func (s *station) survives(t *testing.T, closes bool) {
	t.Helper()
	s.log.dies, s.log.forgets, s.log.stays = 0, 0, 0
	next := s.process(t, nil)
	if _, err := next.Identity(t.Context()); err != nil {
		t.Fatal(err)
	}
	next.Close(t.Context())
	left, said := s.ours(t), slices.ContainsFunc(s.warned, cutOff)
	if closes && len(left) > 0 || closes == said {
		t.Errorf("left open: %v, warnings %v", left, s.warned)
	}
	for _, r := range s.log.logins {
		if !r.closed {
			t.Errorf("login %s stays to be looked for", r.ID)
		}
	}
}

func cutOff(warning string) bool { return strings.Contains(warning, "login that was cut off") }

// TestLostLoginIsClosed: a login whose answer was lost is closed by the same process at its
// end, if the firmware shows enough; else it warns. Other clients keep theirs.
func TestLostLoginIsClosed(t *testing.T) {
	for _, p := range withSessions() {
		t.Run(p.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStation(t, p, &sessionLog{}, lostLogin)
				s.crowd(t)
				c := s.process(t, nil)
				identify(t.Context(), c)
				time.Sleep(time.Hour)
				if err := c.Close(t.Context()); err != nil {
					t.Error(err)
				}
				left, said := s.ours(t), slices.ContainsFunc(s.warned, cutOff)
				if want := map[bool]int{true: 0, false: 1}[identifies(p)]; len(left) != want || said != (want == 1) {
					t.Errorf("left open: %v, warnings %v", left, s.warned)
				}
			})
		})
	}
}

func find(t *testing.T, name string) bmcsim.Profile {
	t.Helper()
	p, err := bmcsim.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestNoLoginIsAnswered: if no login of a process was answered, its end logs in once more
// to close what they opened.
func TestNoLoginIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := bmcsim.Fault{Kind: "lost", Method: http.MethodPost, Path: "/Sessions", Count: 4}
		s := newStation(t, find(t, "dell/idrac9"), &sessionLog{}, lost)
		c := s.process(t, nil)
		if _, err := c.Identity(t.Context()); err == nil {
			t.Fatal("the BMC answers")
		}
		if open := s.ours(t); len(open) != 4 {
			t.Fatalf("open are %v, want four", open)
		}
		c.Close(t.Context())
		if left := s.ours(t); len(left) > 0 {
			t.Errorf("left open: %v, warnings %v", left, s.warned)
		}
	})
}

// TestTooManySessionsFit: another client of the same user logged in from the same address
// in the very second of the lost login. The time cannot tell which session is ours; the
// mark can.
func TestTooManySessionsFit(t *testing.T) {
	for name, closes := range map[string]bool{"dell/idrac9": false, "hpe/ilo5": false, "redfish/standard": true, "openbmc/bmcweb": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStation(t, find(t, name), &sessionLog{}, lostLogin)
				s.crowd(t)
				identify(t.Context(), s.process(t, dying))
				s.loginOther(t, "pipe", "")
				time.Sleep(time.Minute)
				s.survives(t, closes)
			})
		})
	}
}

// TestOtherAddressesAndMarks: a session from another address, or with another mark, is
// another client's, though it was opened when our login was lost.
func TestOtherAddressesAndMarks(t *testing.T) {
	for _, c := range []struct{ profile, from, context string }{
		{"dell/idrac9", "192.0.2.77:1234", ""}, {"huawei/ibmc", "192.0.2.77:1234", ""}, {"dell/idrac9", "pipe", "console"},
		{"redfish/standard", "pipe", "esxiplan-0123456789abcdef"}, {"redfish/standard", "pipe", "console"}, {"openbmc/bmcweb", "pipe", "console"},
	} {
		t.Run(c.profile+" "+c.from+" "+c.context, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := find(t, c.profile)
				p.Sessions.Context = c.context != ""
				s := newStation(t, p, &sessionLog{dies: 1})
				identify(t.Context(), s.process(t, nil)) // its login was not sent
				s.loginOther(t, c.from, c.context)
				s.survives(t, true)
			})
		})
	}
}

// TestOtherUsers: a session of another user is another client's.
func TestOtherUsers(t *testing.T) {
	for _, p := range withSessions() {
		t.Run(p.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStation(t, p, &sessionLog{dies: 1})
				identify(t.Context(), s.process(t, nil)) // its login was not sent
				s.logsIn(t, "pipe", `{"UserName":"alice","Password":"wonderland"}`)
				s.survives(t, true)
			})
		})
	}
}

// TestURIOfAnotherSession: a BMC that restarted counts from one again, so that the URI of our session
// names another client's, which the time shows.
func TestURIOfAnotherSession(t *testing.T) {
	for _, name := range []string{"dell/idrac9", "hpe/ilo6", "lenovo/xcc2", "huawei/ibmc", "redfish/standard"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := time.Now()
				time.Sleep(time.Hour)
				log := &sessionLog{logins: []*record{{Session: bmc.Session{ID: "esxiplan-1", URI: "/redfish/v1/SessionService/Sessions/1", Asked: asked}}}}
				s := newStation(t, find(t, name), log)
				s.loginOther(t, "pipe", "")
				time.Sleep(time.Hour)
				c := s.process(t, nil)
				identify(t.Context(), c)
				c.Close(t.Context())
				if left := s.ours(t); len(left) > 0 || !log.logins[0].closed {
					t.Errorf("left open: %v; looked for again: %v", left, !log.logins[0].closed)
				}
			})
		})
	}
}

// TestProcessOnAnotherMachine: a session that the log names is closed from another address,
// too, where its time shows that it is the one.
func TestProcessOnAnotherMachine(t *testing.T) {
	for name, closes := range map[string]bool{"dell/idrac9": true, "hpe/ilo5": true, "redfish/standard": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStation(t, find(t, name), &sessionLog{logins: []*record{{Session: bmc.Session{ID: "esxiplan-1", URI: "/redfish/v1/SessionService/Sessions/1", Asked: time.Now()}}}})
				s.loginOther(t, "192.0.2.77:1234", "")
				s.others = nil // it was ours
				time.Sleep(time.Hour)
				c := s.process(t, nil)
				identify(t.Context(), c)
				c.Close(t.Context())
				if left := s.ours(t); closes != (len(left) == 0) {
					t.Errorf("left open: %v", left)
				}
			})
		})
	}
}

// logins counts the logins that the BMC was sent.
func (s *station) logins() (n int) {
	for _, q := range s.sim.Requests() {
		if q.Method == http.MethodPost && strings.HasSuffix(q.Path, "/Sessions") {
			n++
		}
	}
	return n
}

// TestMarkIsRefused: a service that takes no mark although its schema has one is sent the
// login without, and no mark again.
func TestMarkIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := find(t, "redfish/standard")
		p.Sessions.Context = false
		s := newStation(t, p, &sessionLog{}, bmcsim.Fault{Kind: "status", Status: 401, Message: "Base.1.8.NoValidSession", Method: http.MethodGet, Path: "/Managers", Count: 1})
		c := s.process(t, nil)
		if _, err := c.Identity(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s.logins() != 3 { // with the mark, without, and after the session was lost
			t.Errorf("%d logins", s.logins())
		}
		c.Close(t.Context())
		if left := s.ours(t); len(left) > 0 {
			t.Errorf("left open: %v", left)
		}
	})
}

// TestUnrecordedLoginIsNotSent: no login is sent without a record.
func TestUnrecordedLoginIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation(t, find(t, "dell/idrac9"), &sessionLog{dies: 1})
		_, err := s.process(t, nil).Identity(t.Context())
		if !errors.Is(err, errCrash) || s.logins() != 0 {
			t.Errorf("%v, %d logins", err, s.logins())
		}
	})
}

// slowLog records a login so slowly that the login needs a new connection.
type slowLog struct{ *sessionLog }

func (l slowLog) SessionAsked(address, id string, at time.Time) error {
	time.Sleep(time.Minute)
	return l.sessionLog.SessionAsked(address, id, at)
}

// TestUnsentLoginIsNotLookedFor: a login for which there was no connection opened no session;
// the log holds it as closed at once.
func TestUnsentLoginIsNotLookedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation(t, find(t, "dell/idrac9"), &sessionLog{})
		connections := 0
		c := s.process(t, func(o *bmc.Options) {
			o.Sessions = slowLog{s.log}
			o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				if connections++; connections > 1 {
					return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
				}
				return s.dial(ctx, network, address)
			}
		})
		_, err := c.Identity(t.Context())
		if !errors.Is(err, syscall.ECONNREFUSED) || s.logins() != 0 {
			t.Fatalf("%v, %d logins", err, s.logins())
		}
		if len(s.log.logins) != 1 || !s.log.logins[0].closed {
			t.Errorf("%d logins are recorded, the first as closed: %v", len(s.log.logins), s.log.logins[0].closed)
		}
		if c.Close(t.Context()); len(s.log.logins) != 1 {
			t.Errorf("the end logs in again")
		}
	})
}

// TestDryRunClosesItsOwn: a dry run closes only its own sessions, also one whose answer was
// lost.
func TestDryRunClosesItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := find(t, "dell/idrac9")
		p.NoBasic = true
		s := newStation(t, p, &sessionLog{}, lostLogin)
		crashed := s.process(t, nil)
		identify(t.Context(), crashed)
		time.Sleep(time.Minute)
		before := s.sim.OpenSessions()
		dry := s.process(t, func(o *bmc.Options) { o.ReadOnly = true })
		if _, err := dry.Identity(t.Context()); err != nil {
			t.Fatal(err)
		}
		dry.Close(t.Context())
		if after := s.sim.OpenSessions(); !slices.Equal(before, after) {
			t.Errorf("open were %v, now %v", before, after)
		}
	})
}

// TestOtherSessionsAreSeen, whatever place a vendor has for user, address and time.
func TestOtherSessionsAreSeen(t *testing.T) {
	for _, p := range withSessions() {
		t.Run(p.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStation(t, p, &sessionLog{})
				s.loginOther(t, "192.0.2.77:1234", "")
				c := s.process(t, nil)
				defer c.Close(t.Context())
				seen, err := c.OtherSessions(t.Context())
				if err != nil || len(seen) != 1 || (p.Sessions.Origin || p.Sessions.Oem) != strings.Contains(seen[0], "from 192.0.2.77") {
					t.Errorf("%q, %v", seen, err)
				}
			})
		})
	}
}
