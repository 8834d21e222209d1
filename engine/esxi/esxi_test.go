package esxi_test

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"esxiplan/engine/descriptor"
	"esxiplan/engine/esxi"
	"esxiplan/engine/esxi/esxisim"
)

func start(t *testing.T, c esxisim.Config) *esxisim.Sim {
	t.Helper()
	s, err := esxisim.Start("127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if c.Version != "" {
		if _, err := s.Boot(c); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func config() esxisim.Config {
	now := time.Now()
	return esxisim.Config{Version: "8.0.3", Build: "24022510", UUID: "4c4c4544-0058-5110-8034-b7c04f543933", Serial: "7XQ4T93", Installed: now.Add(-time.Hour), Booted: now.Add(-time.Minute),
		Accepts: func(p string) bool { return p == "right" }}
}

func open(s *esxisim.Sim, now func() time.Time, current, root string) esxi.Client {
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, s.Address())
	}
	return esxi.Open(esxi.Options{Address: "192.0.2.11", Dial: dial, Now: now, Current: &esxi.Login{Username: "root", Password: current}, Root: &esxi.Login{Username: "root", Password: root}})
}

func TestProbe(t *testing.T) {
	s := start(t, esxisim.Config{})
	c := open(s, nil, "right", "right")
	probe := func() esxi.Probe {
		p, err := c.Probe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := probe(); p.State != esxi.Silent || p.Fingerprint != "" {
		t.Errorf("nothing there: %+v", p)
	}
	certificate, err := esxisim.NewCertificate()
	if err != nil {
		t.Fatal(err)
	}
	s.Starting(certificate)
	starting := probe()
	if starting.State != esxi.Starting || len(starting.Fingerprint) != 64 {
		t.Errorf("starting: %+v", starting)
	}
	system := config()
	system.Certificate = certificate
	if _, err := s.Boot(system); err != nil {
		t.Fatal(err)
	}
	if p := probe(); p.State != esxi.Up || p.Build != "24022510" || p.Fingerprint != starting.Fingerprint || !p.ESXi {
		t.Errorf("up: %+v", p)
	}
	if slices.Contains(s.Calls(), "Login") {
		t.Error("a probe logged in")
	}
}

// TestInspect: one login, in one session, however often one looks; and none to
// another system.
func TestInspect(t *testing.T) {
	system := config()
	system.VMs, system.VCenter = []string{"a", "b"}, "10.0.0.5"
	s := start(t, system)
	c := open(s, nil, "right", "right")
	p, _ := c.Probe(t.Context())
	for range 3 {
		got, err := c.Inspect(t.Context(), esxi.Current, p.Fingerprint)
		if err != nil || got.UUID != system.UUID || len(got.VMs) != 2 || got.VCenter != "10.0.0.5" || !slices.Contains(got.Serials, "7XQ4T93") || got.Installed.Unix() != system.Installed.Unix() || !strings.Contains(got.Busy(), "2 virtual machines") {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if _, err := c.Inspect(t.Context(), esxi.Current, strings.Repeat("0", 64)); err == nil {
		t.Error("another certificate is let in")
	}
	c.Close()
	if _, err := c.Inspect(t.Context(), esxi.Current, p.Fingerprint); err == nil {
		t.Error("the login is used a second time")
	}
	logins := 0
	for _, call := range s.Calls() {
		if call == "Login" {
			logins++
		}
	}
	if logins != 1 || s.OpenSessions() != 0 {
		t.Errorf("%d logins, %d sessions open", logins, s.OpenSessions())
	}
}

// TestRootIsNotLocked: however often one asks, three logins are made, half a minute
// apart, and the account stays open.
func TestRootIsNotLocked(t *testing.T) {
	s := start(t, config())
	now := time.Now()
	c := open(s, func() time.Time { return now }, "wrong", "wrong")
	p, _ := c.Probe(t.Context())
	var last error
	for range 100 {
		_, last = c.Inspect(t.Context(), esxi.Root, p.Fingerprint)
		if _, err := c.Inspect(t.Context(), esxi.Current, p.Fingerprint); err == nil {
			t.Fatal("a wrong password is accepted")
		}
		now = now.Add(5 * time.Second)
	}
	var login *esxi.ErrLogin
	if !errors.As(last, &login) || !login.Final || s.Locked() {
		t.Errorf("locked %v, %v", s.Locked(), last)
	}
}

// TestTooSoon: a login that is not tried yet says why the last one failed, not that it waits.
func TestTooSoon(t *testing.T) {
	s := start(t, config())
	now := time.Now()
	c := open(s, func() time.Time { return now }, "wrong", "wrong")
	p, _ := c.Probe(t.Context())
	_, first := c.Inspect(t.Context(), esxi.Root, p.Fingerprint)
	now = now.Add(5 * time.Second)
	_, second := c.Inspect(t.Context(), esxi.Root, p.Fingerprint)
	var login *esxi.ErrLogin
	if !errors.As(first, &login) || !errors.Is(second, esxi.ErrTooSoon) || second.Error() != first.Error() {
		t.Errorf("first %v, then %v", first, second)
	}
}

// TestProbeLeadsToLogin: a login right after a probe uses the probe's connection, a later
// one opens a new connection.
func TestProbeLeadsToLogin(t *testing.T) {
	s := start(t, config())
	c := open(s, nil, "right", "right")
	defer c.Close()
	asked := func() (n int) {
		for _, call := range s.Calls() {
			if call == "RetrieveServiceContent" {
				n++
			}
		}
		return n
	}
	p, _ := c.Probe(t.Context())
	if _, err := c.Inspect(t.Context(), esxi.Current, p.Fingerprint); err != nil || asked() != 1 {
		t.Errorf("at once: %v, asked %d times what is there", err, asked())
	}
	if _, err := c.Inspect(t.Context(), esxi.Root, p.Fingerprint); err != nil || asked() != 2 {
		t.Errorf("later: %v, asked %d times what is there", err, asked())
	}
}

// TestLoginKeepsToTheProbed: when another system comes up between a probe and a login, it
// gets no password.
func TestLoginKeepsToTheProbed(t *testing.T) {
	s := start(t, config())
	c := open(s, nil, "right", "right")
	defer c.Close()
	p, _ := c.Probe(t.Context())
	if _, err := c.Inspect(t.Context(), esxi.Root, strings.Repeat("0", 64)); err == nil {
		t.Error("a system other than the intended one is accepted")
	}
	p, _ = c.Probe(t.Context())
	s.Down()
	if _, err := s.Boot(config()); err != nil { // with a certificate of its own
		t.Fatal(err)
	}
	for _, who := range []esxi.Who{esxi.Root, esxi.Current} {
		if _, err := c.Inspect(t.Context(), who, p.Fingerprint); err == nil {
			t.Errorf("%v logged in to another system", who)
		}
	}
	if slices.Contains(s.Calls(), "Login") {
		t.Error("a password was sent")
	}
}

// TestNoDescriptors: an ESXi is not silent because this process cannot open a connection, and
// the login that was not sent may still be used.
func TestNoDescriptors(t *testing.T) {
	s := start(t, config())
	var exhausted bool
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		if exhausted {
			return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("socket", syscall.EMFILE)}
		}
		return (&net.Dialer{}).DialContext(ctx, network, s.Address())
	}
	c := esxi.Open(esxi.Options{Address: "192.0.2.11", Dial: dial, Current: &esxi.Login{Username: "root", Password: "right"}, Brief: true})
	defer c.Close()
	p, err := c.Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	exhausted = true
	if p, err := c.Probe(t.Context()); !descriptor.Exhausted(err) {
		t.Errorf("probe %+v, %v", p, err)
	}
	if _, err := c.Inspect(t.Context(), esxi.Current, p.Fingerprint); !descriptor.Exhausted(err) {
		t.Errorf("inspect: %v", err)
	}
	exhausted = false
	if _, err := c.Inspect(t.Context(), esxi.Current, p.Fingerprint); err != nil {
		t.Errorf("with descriptors again: %v", err)
	}
}
