package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"esxiplan/cmd/internal/view"
	"esxiplan/engine/notify"
	"esxiplan/schema"
)

// loadNotify loads a plan with a notify block; secrets that were not given are made up.
func loadNotify(t *testing.T, block string) *schema.Plan {
	t.Helper()
	name := filepath.Join(t.TempDir(), "plan.hcl")
	plan := `group "g" {
  bmc {
    username = "root"
    password = "secret-password"
  }
  host "192.0.2.1" {}
}
step "precheck" "login" {}
` + block
	if err := os.WriteFile(name, []byte(plan), 0o600); err != nil {
		t.Fatal(err)
	}
	p, diags := schema.Load([]string{name}, schema.Input{Placeholder: (&secrets{}).secret}, known())
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return p
}

// TestHookTLS: the certificate of a webhook's server is checked as the plan says.
func TestHookTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	certificate := server.Certificate()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		tls  string
		says string // "": it is sent
	}{
		"against the system's authorities": {`{ verify = true }`, "certificate"},
		"not at all":                       {`{ verify = false }`, ""},
		"by an authority":                  {fmt.Sprintf("{ ca_file = %q }", ca), ""},
		"by its fingerprint":               {fmt.Sprintf(`{ fingerprint = "sha256:%x" }`, sha256.Sum256(certificate.Raw)), ""},
		"by another fingerprint":           {fmt.Sprintf(`{ fingerprint = "sha256:%x" }`, sha256.Sum256(nil)), "the plan pins"},
	} {
		t.Run(name, func(t *testing.T) {
			p := loadNotify(t, fmt.Sprintf("notify \"n\" {\n  url = \"%s/the-secret-path\"\n  tls = %s\n}", server.URL, c.tls))
			to, err := target(p, p.Notify[0])
			if err != nil {
				t.Fatal(err)
			}
			err = notify.SendTest(context.Background(), to, notify.Options{Plan: "p", Mask: func(s string) string { return s }})
			if (err != nil) != (c.says != "") || err != nil && (!strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret-path")) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestMadeUpTargets: a simulation that lacks a secret of a block sends nothing by it.
func TestMadeUpTargets(t *testing.T) {
	var said bytes.Buffer
	a := newApp(nil, &view.Streams{Out: &said, Err: &said})
	for block, sends := range map[string]bool{
		`notify "n" { url = env("NOWHERE") }`:                                                                              false,
		"notify \"n\" {\n  url = \"http://192.0.2.9/\"\n  secret = env(\"NOWHERE\")\n}":                                    false,
		"notify \"n\" {\n  url = \"http://192.0.2.9/\"\n  headers = { Authorization = \"Bearer ${env(\"NOWHERE\")}\" }\n}": false,
		`notify "n" { url = "http://192.0.2.9/" }`:                                                                         true,
	} {
		said.Reset()
		targets, err := a.targets(loadNotify(t, block))
		if err != nil || (len(targets) == 1) != sends || sends == strings.Contains(said.String(), "nothing is sent") {
			t.Errorf("%s: %d targets, %v, %q", block, len(targets), err, said.String())
		}
	}
}
