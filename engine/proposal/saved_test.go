package proposal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/event"
	"esxiplan/schema"
)

// sample is a saved plan with a host that would be installed.
func sample() *Saved {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	h := &Host{Host: "h1", Outcome: Install, Machine: &event.Machine{Serial: "S1"}, Changes: []event.Planned{
		{Step: "restart", Change: event.Change{Door: event.DoorBMC, Verb: event.Reset, Risk: event.Wipes, Intent: event.Intent{Boots: true, Erases: []event.Disk{{Serial: "D1", Holds: []string{}}}}}}}}
	p := &Proposal{Schema: Schema, Plan: "lab", Steps: []string{"restart"}, Hosts: []*Host{h}}
	p.Summarise()
	return &Saved{Made: Made{Time: at, By: event.Who{User: "ci"}, Version: "0.2"}, Request: Request{Paths: []string{"lab.hcl"}, Steps: []string{"restart"}, Hosts: []string{"h1"}},
		Inputs: Inputs{Files: map[string]string{"lab.hcl": "aa"}, Images: map[string]string{"x.iso": "bb"}, Secrets: map[string]string{"var.p": "cc"},
			Hosts: schema.NewDigests(map[string]map[string]string{"h1": {"disk": "dd"}})}, Proposal: p}
}

// TestSavedIsWhole: what is read is what was written, and no byte of it can be another.
func TestSavedIsWhole(t *testing.T) {
	s := sample()
	b, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(b)
	if err != nil || got.Checksum != s.Checksum || got.Proposal.Hosts[0].Erases()[0].Holds == nil || got.Proposal.Summary.Disks != 1 {
		t.Fatalf("%v, %+v", err, got)
	}
	for i := range b {
		other := bytes.Clone(b)
		other[i] ^= 0x10
		if _, err := Decode(other); err == nil {
			t.Fatalf("byte %d may be changed: %q", i, other[max(0, i-20):i+1])
		}
	}
	for i := range b {
		if _, err := Decode(b[:i]); err == nil {
			t.Fatalf("what follows byte %d may be cut off", i)
		}
	}
	if _, err := Decode(append(b, ' ')); err == nil {
		t.Error("something may be appended")
	}
}

// TestDecodeRefuses: files that are no saved plans, those of later versions, and handmade
// ones.
func TestDecodeRefuses(t *testing.T) {
	seal := func(body string) string {
		body = strings.TrimSuffix(body, "\n}")
		return body + sumBegins + sumOf([]byte(body)) + sumEnds
	}
	for text, want := range map[string]string{
		"":           "not a saved plan",
		"plan {}":    "not a saved plan",
		`{"kind":1}`: "not a saved plan",
		"null":       "not a saved plan",
		seal("{\n  \"kind\": \"esxiplan saved plan\",\n  \"schema\": 99\n}"):                                                                      "a newer esxiplan wrote it (form 99",
		seal("{\n  \"kind\": \"esxiplan saved plan\",\n  \"schema\": 1\n}"):                                                                       "it lacks a part",
		seal("{\n  \"kind\": \"esxiplan saved plan\",\n  \"schema\": 1, \"request\": {\"paths\": [\"a\"]}, \"proposal\": {\"hosts\": [null]}\n}"): "it lacks a part",
		seal("{\n  \"kind\": \"esxiplan saved plan\",\n  \"schema\": 1, \"request\": 5\n}"):                                                       "it cannot be understood",
		"{\n  \"kind\": \"esxiplan saved plan\",\n  \"schema\": 1\n}":                                                                             "its checksum does not fit",
	} {
		if _, err := Decode([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	b, err := sample().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("{\n  \"kind\": \"esxiplan saved plan\"" + sumBegins + sumEnds))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Decode(b)
		if err == nil {
			s.Proposal.Summarise()
			Blocks(s.Proposal)
			_ = s.Check(Inputs{})
			_ = s.CheckMade("0.2")
		}
	})
}

// TestWrite: a saved plan replaces another, and nothing else; it appears whole.
func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.plan")
	for range 2 {
		if err := sample().Write(path); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Read(path); err != nil {
		t.Error(err)
	}
	other := filepath.Join(dir, "site.hcl")
	if err := os.WriteFile(other, []byte("plan {}"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{other, dir, link, filepath.Join(dir, "none", "a.plan")} {
		if err := sample().Write(name); err == nil || !strings.HasPrefix(err.Error(), "cannot save the plan to "+name+": ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if b, _ := os.ReadFile(other); string(b) != "plan {}" {
		t.Errorf("it holds %q", b)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".esxiplan*")); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
	if _, err := Read(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// TestChecks: what is compared with a saved plan, and the message for each difference.
func TestChecks(t *testing.T) {
	whole := sample()
	if err := whole.Check(whole.Inputs); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Inputs){
		"file lab.hcl":            func(in *Inputs) { in.Files = map[string]string{"lab.hcl": "ab"} },
		"file more.hcl":           func(in *Inputs) { in.Files = map[string]string{"lab.hcl": "aa", "more.hcl": "x"} },
		"installer image x.iso":   func(in *Inputs) { in.Images = map[string]string{"x.iso": ""} },
		"secret var.p":            func(in *Inputs) { in.Secrets = nil },
		"disk of host h1":         func(in *Inputs) { in.Hosts = schema.NewDigests(map[string]map[string]string{"h1": {"disk": "de"}}) },
		"disk of host h1; vendor": func(in *Inputs) { in.Hosts = schema.NewDigests(map[string]map[string]string{"h1": {"vendor": "d"}}) },
	} {
		now := sample().Inputs
		change(&now)
		if err := whole.Check(now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
	for want, change := range map[string]func(*Saved){
		"made with --offline":    func(s *Saved) { s.Proposal.Offline = true },
		"no host to which":       func(s *Saved) { s.Proposal.Hosts[0].Outcome = Refused },
		"esxiplan 0.3 made it":   func(s *Saved) { s.Made.Version = "0.3" },
		"it is 3 days old":       func(s *Saved) { s.Made.Time = s.Made.Time.Add(-3 * 24 * time.Hour) },
		"it was made in the fut": func(s *Saved) { s.Made.Time = s.Made.Time.Add(time.Hour) },
	} {
		s := sample()
		now := s.Made.Time
		change(s)
		if err := errors.Join(s.CheckMade("0.2"), s.CheckAge(now, 24*time.Hour)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}

// TestFingerprints: a salted hash distinguishes secrets, and of many secrets the first have one
// of their own.
func TestFingerprints(t *testing.T) {
	few := map[string]string{"var.a": "hunter22", "var.b": "hunter23", "var.c": "hunter22"}
	a, b := fingerprints(few, "salt"), fingerprints(few, "other salt")
	if a["var.a"] == b["var.a"] || a["var.a"] == a["var.c"] || strings.Contains(a["var.a"], "hunter22") || a["var.a"] != fingerprints(few, "salt")["var.a"] {
		t.Errorf("%v, %v", a, b)
	}
	few["var.c"] = "hunter23" // a text that is known, by another name
	if c := fingerprints(few, "salt"); c["var.c"] == a["var.c"] || c["var.a"] != a["var.a"] {
		t.Errorf("%v, %v", a, c)
	}
	hosts := map[string]string{"var.a": "x", "host.h1.bmc.password": "x", "host.h2.bmc.password": "y"}
	before := fingerprints(hosts, "salt")
	hosts["host.h2.bmc.password"] = "x"
	if after := fingerprints(hosts, "salt"); len(after) != 2 || after[others] == before[others] || after["var.a"] != before["var.a"] {
		t.Errorf("%v, %v", before, after)
	}
}
