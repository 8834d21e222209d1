package vendors_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"esxiplan/engine/bmc"
)

// asked lists the requests about a path, as method and status.
func (s *station) asked(path string) (out []string) {
	for _, q := range s.sim.Requests() {
		if strings.TrimSuffix(q.Path, "/") == path {
			out = append(out, q.Method+" "+http.StatusText(q.Status))
		}
	}
	return out
}

// TestRootIsAskedFor: the service root comes from the BMC, once, and where it is hidden once
// before the login and once after.
func TestRootIsAskedFor(t *testing.T) {
	for name, c := range map[string]struct {
		profile         string
		hidden, noBasic bool
		dry             bool
		root            []string
		sessions        int
	}{
		"open":                     {"dell/idrac9", false, false, false, []string{"GET OK"}, 1},
		"open, dry run":            {"dell/idrac9", false, false, true, []string{"GET OK"}, 0},
		"hidden":                   {"dell/idrac9", true, false, false, []string{"GET Unauthorized", "GET OK"}, 1},
		"hidden, without Basic":    {"redfish/standard", true, true, false, []string{"GET Unauthorized", "GET OK"}, 1},
		"hidden, dry run":          {"dell/idrac9", true, false, true, []string{"GET Unauthorized", "GET Unauthorized", "GET OK"}, 0},
		"hidden, dry, no Basic":    {"dell/idrac9", true, true, true, []string{"GET Unauthorized", "GET Unauthorized", "GET OK"}, 1},
		"hidden, knows no session": {"redfish/emulator", true, false, false, []string{"GET Unauthorized", "GET Unauthorized", "GET OK"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := find(t, c.profile)
				p.HiddenRoot, p.NoBasic = c.hidden, c.noBasic
				s := newStation(t, p, &sessionLog{})
				client := s.process(t, func(o *bmc.Options) { o.ReadOnly = c.dry })
				if _, err := client.Identity(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := client.Close(t.Context()); err != nil {
					t.Error(err)
				}
				opened, closed := s.sim.Sessions()
				if root := s.asked("/redfish/v1"); !slices.Equal(root, c.root) || opened != c.sessions || closed != c.sessions {
					t.Errorf("root %v, %d sessions opened, %d closed", root, opened, closed)
				}
			})
		})
	}
}

// TestStrangeRoots: an answer that is no service root is reported, with what came instead.
func TestStrangeRoots(t *testing.T) {
	for body, want := range map[string]string{
		`<html><body>Please log in</body></html>`: "a web page instead of Redfish",
		``:                "the answer is empty",
		`{"Name":"Root"}`: "names no computer systems",
		`{"Systems":{"@odata.id":"/redfish/v1/Systems"},"Name":["Root"]}`: "not as the standard has it: json:",
		`{"Systems":`: "the answer is not JSON",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(body)) }))
		c, err := bmc.Open(bmc.Options{Address: server.URL})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = c.Identity(t.Context()); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "GET /redfish/v1/") {
			t.Errorf("%s: %v, want %q", body, err, want)
		}
		server.Close()
	}
}

// TestRecordedRoots: gofish reads the service root of every recorded machine.
func TestRecordedRoots(t *testing.T) {
	for _, m := range recordings(t) {
		root := filepath.Join(m.dir, "redfish", "v1", "index.json")
		body, err := os.ReadFile(root)
		if err != nil || !json.Valid(body) {
			t.Fatalf("%s: %v", root, err)
		}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/redfish/v1/" {
				http.NotFound(w, r)
				return
			}
			w.Write(body)
		}))
		c, err := bmc.Open(bmc.Options{Address: server.URL, ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = c.Identity(t.Context()); err == nil || strings.Contains(err.Error(), "GET /redfish/v1/:") {
			t.Errorf("%s: %v", root, err)
		}
		server.Close()
	}
}
