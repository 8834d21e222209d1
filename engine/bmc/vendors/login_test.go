package vendors_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/bmc/bmcsim"
	"esxiplan/engine/bmc/vendors"
)

// gate is a simulated BMC that counts what it was sent: passwords that it refused, and logins
// by a session.
type gate struct {
	sim *bmcsim.Sim
	url string

	mu            sync.Mutex
	refusals      int
	posts, basics int
	challenge     string // the header of each 401; "": the simulator's
}

func newGate(t *testing.T, p bmcsim.Profile, faults ...bmcsim.Fault) *gate {
	g := &gate{sim: bmcsim.New(bmcsim.Config{Profile: p, Clock: realClock{}, Username: "root", Password: "calvin", Serial: "SN1", UUID: "4c4c4544-0058-5110-8034-b7c04f543933", Faults: faults})}
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	g.url = server.URL
	return g
}

// seen is a ResponseWriter that remembers the status.
type seen struct {
	http.ResponseWriter
	status    int
	challenge string
}

func (s *seen) WriteHeader(status int) {
	if s.status = status; s.challenge != "" && status == http.StatusUnauthorized {
		s.Header().Set("WWW-Authenticate", s.challenge)
	}
	s.ResponseWriter.WriteHeader(status)
}

func (s *seen) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	_, _, basic := r.BasicAuth()
	post := bytes.Contains(body, []byte(`"Password"`))
	s := &seen{w, 200, g.challenge}
	g.sim.ServeHTTP(s, r)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case post:
		g.posts++
	case basic:
		g.basics++
	}
	if (post || basic) && s.status >= 400 && s.status < 500 && s.status != http.StatusNotFound && s.status != http.StatusMethodNotAllowed {
		g.refusals++
	}
}

// client opens the BMC without pauses between attempts.
func (g *gate) client(t *testing.T, change func(*bmc.Options)) (bmc.Client, *[]string) {
	t.Helper()
	var warned []string
	o := bmc.Options{Address: g.url, Username: "root", Password: "calvin", Vendors: vendors.All(), Timeout: 10 * time.Second,
		Warn: func(text string) { warned = append(warned, text) }, Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
	change(&o)
	c, err := bmc.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c, &warned
}

// answers makes the session service answer a login by a message.
func answers(status int, message string) bmcsim.Fault {
	return bmcsim.Fault{Kind: "status", Status: status, Message: message, Method: http.MethodPost, Path: "/Sessions"}
}

// TestLogin: a valid password succeeds by any way that the service takes. A wrong one is sent at
// most once for each way, and not again if the service says that it locks the account;
// the message names what was tried.
func TestLogin(t *testing.T) {
	const byBasic, bySession = "Basic authentication (GET /redfish/v1/Systems) was answered 401", "a session (POST /redfish/v1/SessionService/Sessions) was answered 401"
	open, quiet, hidden := func(p *bmcsim.Profile) { p.Open = true }, func(p *bmcsim.Profile) { p.NoChallenge = true }, func(p *bmcsim.Profile) { p.HiddenRoot = true }
	noBasic := func(p *bmcsim.Profile) { p.NoBasic = true }
	for name, c := range map[string]struct {
		profile    string
		change     func(*bmcsim.Profile)
		fault      bmcsim.Fault
		challenge  string
		wrong, dry bool
		refusals   int    // passwords that were refused
		says       string // part of the error; "": it gets in
		not        string // not part of the error
	}{
		"no link to sessions":                 {profile: "emulator/sushy"},
		"no link to sessions, dry":            {profile: "emulator/sushy", dry: true},
		"no link, no challenge":               {profile: "emulator/sushy", change: quiet},
		"no link, no challenge, dry":          {profile: "emulator/sushy", change: quiet, dry: true},
		"no link, wrong":                      {profile: "emulator/sushy", wrong: true, refusals: 1, says: byBasic, not: "a session"},
		"no link, no challenge, wrong":        {profile: "emulator/sushy", change: quiet, wrong: true, refusals: 1, says: byBasic},
		"no link, asks for nothing":           {profile: "emulator/sushy", change: open, wrong: true},
		"no link, hidden root":                {profile: "emulator/sushy", change: hidden, refusals: 1},
		"no link, hidden root, dry":           {profile: "emulator/sushy", change: hidden, dry: true},
		"no link, asks for something else":    {profile: "emulator/sushy", challenge: `Digest realm="BMC"`, says: "offers no login that esxiplan knows"},
		"404 on the guessed path":             {profile: "redfish/emulator", change: hidden},
		"link without a service":              {profile: "emulator/hpe", refusals: 1},
		"link without a service, dry":         {profile: "emulator/hpe", dry: true},
		"link without a service, quiet":       {profile: "emulator/hpe", change: quiet, refusals: 1},
		"link without a service, quiet, dry":  {profile: "emulator/hpe", change: quiet, dry: true, refusals: 1},
		"link without a service, wrong":       {profile: "emulator/hpe", wrong: true, refusals: 2, says: bySession},
		"link without a service, wrong, both": {profile: "emulator/hpe", wrong: true, refusals: 2, says: ", and " + byBasic},
		"link without a service, wrong, dry":  {profile: "emulator/hpe", wrong: true, dry: true, refusals: 1, says: byBasic, not: "a session"},
		"a tree of files":                     {profile: "emulator/mockup"},
		"a tree of files, wrong":              {profile: "emulator/mockup", wrong: true},
		"a tree of files, dry":                {profile: "emulator/mockup", wrong: true, dry: true},
		"sessions":                            {profile: "dell/idrac9"},
		"sessions, wrong":                     {profile: "dell/idrac9", wrong: true, refusals: 2, says: bySession},
		"sessions, wrong, dry":                {profile: "dell/idrac9", wrong: true, dry: true, refusals: 1, says: byBasic},
		"sessions, no Basic, dry":             {profile: "redfish/standard", change: noBasic, dry: true},
		"sessions, no Basic, wrong, dry":      {profile: "redfish/standard", change: noBasic, wrong: true, dry: true, refusals: 2, says: bySession},
		"sessions, another scheme, wrong":     {profile: "redfish/standard", challenge: "Bearer", wrong: true, refusals: 1, says: bySession, not: "Basic"},
		"locked":                              {profile: "dell/idrac9", fault: answers(401, "Base.1.8.AccountLocked"), refusals: 1, says: "Wait until the lock expires, or unlock the account in the BMC"},
		"locked, in a vendor's words":         {profile: "huawei/ibmc", fault: answers(401, "iBMC.1.0.UserLocked"), refusals: 1, says: "UserLocked"},
		"423":                                 {profile: "redfish/standard", fault: answers(423, "Base.1.8.GeneralError"), refusals: 1, says: "unlock the account"},
		"delayed":                             {profile: "hpe/ilo5", fault: answers(400, "iLO.2.18.LoginAttemptDelayed"), refusals: 1, says: "unlock the account"},
		"refused with 400":                    {profile: "hpe/ilo5", fault: answers(400, "iLO.2.18.UnauthorizedLoginAttempt"), wrong: true, refusals: 2, says: "UnauthorizedLoginAttempt"},
		"the password must be changed":        {profile: "redfish/standard", fault: answers(403, "Base.1.8.PasswordChangeRequired"), refusals: 1, says: "log in to the BMC once and change it"},
		"403 by the session service":          {profile: "dell/idrac9", fault: answers(403, "Base.1.8.AccessDenied"), refusals: 1},
		"405 by the session service":          {profile: "dell/idrac9", fault: answers(405, "Base.1.8.ActionNotSupported")},
		"lockdown is no lock":                 {profile: "dell/idrac9", fault: answers(403, "IDRAC.2.8.LockdownModeEnabled"), refusals: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := find(t, c.profile)
			if c.change != nil {
				c.change(&p)
			}
			var faults []bmcsim.Fault
			if c.fault.Kind != "" {
				faults = append(faults, c.fault)
			}
			g := newGate(t, p, faults...)
			g.challenge = c.challenge
			client, _ := g.client(t, func(o *bmc.Options) {
				if o.ReadOnly = c.dry; c.wrong {
					o.Password = "wrong"
				}
			})
			_, err := client.Identity(t.Context())
			_, again := client.Identity(t.Context())
			if text := fmt.Sprint(err); (err == nil) != (c.says == "") || err != nil && (!strings.Contains(text, c.says) || c.not != "" && strings.Contains(text, c.not)) {
				t.Errorf("%v, want %q", err, c.says)
			}
			if (again == nil) != (err == nil) || g.refusals != c.refusals {
				t.Errorf("%d passwords were refused, want %d; asked again: %v", g.refusals, c.refusals, again)
			}
			if err != nil && !strings.Contains(err.Error(), g.url) {
				t.Errorf("%v does not name the BMC", err)
			}
		})
	}
}

// TestSessionIsNotAskedTwice: where the session service refused the password and Basic fails
// for another reason, the next attempt does not send the password to the session service again.
func TestSessionIsNotAskedTwice(t *testing.T) {
	g := newGate(t, find(t, "emulator/hpe"), bmcsim.Fault{Kind: "status", Status: 500, Path: "/Systems", After: 1, Count: 1})
	c, warned := g.client(t, func(*bmc.Options) {})
	if _, err := c.Identity(t.Context()); err == nil {
		t.Fatal("it gets in")
	}
	if _, err := c.Identity(t.Context()); err != nil || g.posts != 1 || g.refusals != 1 {
		t.Errorf("%v; %d logins by a session, %d refusals; %v", err, g.posts, g.refusals, *warned)
	}
}

// TestSessionRefusedLater: after one login has succeeded, a refused login is final: the
// password was changed.
func TestSessionRefusedLater(t *testing.T) {
	refusal := answers(401, "Base.1.8.InsufficientPrivilege")
	refusal.After = 1
	g := newGate(t, find(t, "dell/idrac9"), bmcsim.Fault{Kind: "forget", Method: http.MethodGet, Path: "/Managers", Count: 1}, refusal)
	c, _ := g.client(t, func(*bmc.Options) {})
	if _, err := c.Identity(t.Context()); err == nil || g.posts != 2 || g.basics != 0 {
		t.Errorf("%v; %d logins by a session, %d requests by Basic", err, g.posts, g.basics)
	}
}

// identities asks several BMCs at once, all with one credential; what they say is in order.
func identities(t *testing.T, gates []*gate, logins *bmc.Logins, password string) (errs []error) {
	t.Helper()
	errs = make([]error, len(gates))
	var all sync.WaitGroup
	for i, g := range gates {
		c, _ := g.client(t, func(o *bmc.Options) { o.Logins, o.Password = logins, password })
		all.Go(func() { _, errs[i] = c.Identity(t.Context()) })
	}
	all.Wait()
	return errs
}

// TestManyLogins: a BMC that refuses sessions but takes Basic does not count against a
// credential; one without a login does not count for it. A wrong password reaches at most three
// BMCs.
func TestManyLogins(t *testing.T) {
	fleet := func(profile string) (gates []*gate) {
		for range 8 {
			gates = append(gates, newGate(t, find(t, profile)))
		}
		return gates
	}
	for _, profile := range []string{"emulator/hpe", "emulator/sushy", "dell/idrac9"} {
		for i, err := range identities(t, fleet(profile), bmc.NewLogins(), "calvin") {
			if err != nil {
				t.Errorf("%s %d: %v", profile, i, err)
			}
		}
		logins := bmc.NewLogins()
		for _, err := range identities(t, fleet("emulator/mockup"), logins, "wrong") {
			if err != nil {
				t.Error(err)
			}
		}
		gates, asked := fleet(profile), 0
		for i, err := range identities(t, gates, logins, "wrong") {
			if gates[i].refusals > 0 {
				asked++
			} else if !strings.Contains(err.Error(), "is not tried, because 3 other BMCs refused the same user and password") {
				t.Errorf("%s: %v", profile, err)
			}
		}
		if asked != 3 {
			t.Errorf("%s: %d BMCs were sent the wrong password", profile, asked)
		}
	}
}
