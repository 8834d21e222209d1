package bmc

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"esxiplan/engine/descriptor"
)

// pins are those of one process.
type pins map[string]string

func (p pins) Pin(address string) (string, bool) { f, ok := p[address]; return f, ok }
func (p pins) SetPin(address, fingerprint string) (bool, error) {
	p[address] = fingerprint
	return true, nil
}
func (p pins) File(address string) string { return "state/pins/" + address }

// TestTrust tries every form of tls against a real handshake.
func TestTrust(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte(`{"Systems":{"@odata.id":"/redfish/v1/Systems"}}`))
	}))
	defer s.Close()
	sum := sha256.Sum256(s.Certificate().Raw)
	right := hex.EncodeToString(sum[:])
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	known := pins{}
	for _, c := range []struct {
		name  string
		trust Trust
		want  string // "" is success
	}{
		{"default", Trust{}, "not trusted"}, {"off", Trust{Off: true}, ""}, {"ca_file", Trust{CAFile: ca}, ""},
		{"fingerprint", Trust{Fingerprint: "sha256:" + right}, ""}, {"upper case", Trust{Fingerprint: strings.ToUpper(right)}, ""}, {"wrong fingerprint", Trust{Fingerprint: strings.Repeat("0", 64)}, "pins sha256:"},
		{"first use", Trust{FirstUse: known}, ""}, {"second use", Trust{FirstUse: known}, ""}, {"another on second use", Trust{FirstUse: pins{s.URL: "aa"}}, "on first use it was sha256:aa"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := newRedfish(Options{Address: s.URL, Trust: c.trust})
			if err != nil {
				t.Fatal(err)
			}
			_, err = r.request(t.Context(), http.MethodGet, path{rootURI}, nil, nil)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if known[s.URL] != right {
		t.Errorf("pinned %v", known)
	}
}

// TestDryRunCannotWrite: the transport itself refuses.
func TestDryRunCannotWrite(t *testing.T) {
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked++ }))
	defer s.Close()
	r, err := newRedfish(Options{Address: s.URL, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{"POST", "PATCH", "PUT", "DELETE"} {
		req, err := http.NewRequestWithContext(t.Context(), method, s.URL+"/redfish/v1/Systems/1", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.http.Do(req); err == nil || asked != 0 {
			t.Errorf("%s went out: %v", method, err)
		}
	}
}

// looking keeps nothing, as a dry run does.
type looking struct{ pins }

func (looking) SetPin(string, string) (bool, error) { return false, nil }

// TestFirstUse: a warning names the certificate that is trusted on first use; a changed one is
// refused with both fingerprints and with the file to remove.
func TestFirstUse(t *testing.T) {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	sum := sha256.Sum256(s.Certificate().Raw)
	have := "sha256:" + hex.EncodeToString(sum[:])
	for name, c := range map[string]struct {
		pins  Pins
		warns string
		fails []string
	}{
		"run":     {pins{}, have + " was pinned", nil},
		"dry run": {looking{pins{}}, have + ", and none is pinned yet", nil},
		"known":   {pins{s.URL: have[len("sha256:"):]}, "", nil},
		"changed": {pins{s.URL: "aa"}, "", []string{have, "sha256:aa", "remove state/pins/" + s.URL}},
	} {
		t.Run(name, func(t *testing.T) {
			var warned []string
			r, err := newRedfish(Options{Address: s.URL, Trust: Trust{FirstUse: c.pins}, Warn: func(text string) { warned = append(warned, text) }})
			if err != nil {
				t.Fatal(err)
			}
			_, err = r.request(t.Context(), http.MethodGet, path{rootURI}, nil, nil)
			if text := strings.Join(warned, "\n"); (text == "") != (c.warns == "") || !strings.Contains(text, c.warns) {
				t.Errorf("warned: %s", text)
			}
			for _, says := range c.fails {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("%v does not say %s", err, says)
				}
			}
		})
	}
}

// TestFirstUseOnce: esxiplan warns once of a certificate that is not pinned, however many connections
// there are.
func TestFirstUseOnce(t *testing.T) {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	var warned []string
	r, err := newRedfish(Options{Address: s.URL, Brief: true, Trust: Trust{FirstUse: looking{pins{}}}, Warn: func(text string) { warned = append(warned, text) }})
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		r.request(t.Context(), http.MethodGet, path{rootURI}, nil, nil)
	}
	if len(warned) != 1 {
		t.Errorf("warned: %s", strings.Join(warned, "\n"))
	}
}

// TestNoDescriptors: a BMC is not unreachable because this process cannot open a connection.
func TestNoDescriptors(t *testing.T) {
	dial := func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", syscall.EMFILE)}
	}
	r, err := newRedfish(Options{Address: "https://192.0.2.1", Dial: dial})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.request(t.Context(), http.MethodGet, path{rootURI}, nil, nil)
	if !descriptor.Exhausted(err) || isUnreachable(err) {
		t.Errorf("%v; unreachable: %v", err, isUnreachable(err))
	}
}

// TestBrief: on demand no connection outlives its request.
func TestBrief(t *testing.T) {
	var mu sync.Mutex
	opened := map[string]bool{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		opened[r.RemoteAddr] = true
		mu.Unlock()
		w.Write([]byte(`{"Systems":{"@odata.id":"/redfish/v1/Systems"}}`))
	}))
	defer s.Close()
	for brief, want := range map[bool]int{false: 1, true: 4} {
		clear(opened)
		r, err := newRedfish(Options{Address: s.URL, Brief: brief})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // the first one reads the root before
			if _, err := r.request(t.Context(), http.MethodGet, path{rootURI}, nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		if len(opened) != want {
			t.Errorf("brief %v: %d connections", brief, len(opened))
		}
	}
}
