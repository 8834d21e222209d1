package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"esxiplan/engine/bmc/bmcsim/evil"
	"esxiplan/engine/media/isosim"
)

// The secrets of the plan. The short one is a word that stands nowhere else.
const (
	longPassword  = `Bmc/pa"ss&wo+rd-1x`
	shortPassword = "zq7Xw"
	rootPassword  = "Root/pass&word-1x"
	licenseKey    = "A1B2C-D3E4F-G5H6I-J7K8L-M9N0P"
	hookPath      = "/services/T0/the+secret/path-1x"
	hookKey       = "Hook/key&of-the-plan-1x"
	variable      = "the sensitive/variable"
)

// TestNoSecretLeaves lets every command meet BMCs that say each secret back in every
// encoding, and looks for all of them in all that the commands write: streams, traces, log,
// snapshot, page and images, what webhooks and a collector of traces receive.
func TestNoSecretLeaves(t *testing.T) {
	t.Parallel()
	l := beginLife(t)
	l.command("validate", "site.hcl", "--offline")
	l.command("validate", "site.hcl", "--json", "--offline")
	l.command("list", "vars", "site.hcl", "--json")
	l.command("list", "hosts", "site.hcl")
	l.command("kickstart", "render", "site.hcl", "--host", "long")
	l.command("discover", "site.hcl", "--sim", "sim.json", "--html", "page.html", "-vvv", "--trace", "trace")
	var side sync.WaitGroup
	for _, args := range [][]string{
		{"discover", "site.hcl", "-o", "json"}, {"discover", "site.hcl", "-o", "details"}, {"status", "site.hcl", "--once"},
		{"status", "site.hcl", "--json"}, {"run", "site.hcl", "--dry-run", "-o", "jsonl"},
	} {
		side.Go(func() { l.command(append(args, "--sim", "sim.json")...) })
	}
	side.Wait()
	l.command("run", "site.hcl", "--sim", "sim.json", "--yes", "--run", "life", "-vvv", "--trace", "trace", "--state", "state")
	l.command("runs", "--state", "state", "--json")
	l.command("runs", "show", "life", "--state", "state", "--json")
	l.command("runs", "show", "life", "--state", "state", "--host", "long")
	l.command("do", "eject", "site.hcl", "--sim", "sim.json", "-o", "jsonl", "--state", "state")
	l.command("rehearse", "site.hcl", "--limit", "long", "--speed", "200")
	l.command("iso", "inspect", l.publish(t), "--json")
	l.judge(t)
}

// life is a plan, its simulated machines behind evil BMCs, and what commands said.
type life struct {
	t    *testing.T
	dir  string
	bmcs []*evil.BMC
	hook *hooks // of the plan, and collector of traces

	mu   sync.Mutex
	said map[string]string // by command
}

func beginLife(t *testing.T) *life {
	l := &life{t: t, dir: t.TempDir(), said: map[string]string{}, hook: newHooks()}
	t.Cleanup(l.hook.Close)
	if err := os.WriteFile(filepath.Join(l.dir, "site.hcl"), []byte(secretPlan(l.hook.URL)), 0o600); err != nil {
		t.Fatal(err)
	}
	sim := l.prepare("sim", "site.hcl", "--speed", "200", "--log", "log.jsonl")
	out, err := sim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(sim) })
	var said strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if fmt.Fprintln(&said, lines.Text()); strings.Contains(lines.Text(), "Ctrl-C ends them") {
			break
		}
	}
	l.said["sim"] = said.String()
	l.intrude()
	return l
}

// intrude puts an evil BMC before each honest one.
func (l *life) intrude() {
	attacker, err := evil.NewAttacker("127.0.0.1:0")
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(attacker.Close)
	forms := evil.Forms()
	form := forms[slices.IndexFunc(forms, func(f evil.Form) bool { return f.Name == "secrets in all encodings" })]
	name := filepath.Join(l.dir, "sim.json")
	raw, err := os.ReadFile(name)
	if err != nil {
		l.t.Fatal(err, l.said)
	}
	var file map[string]json.RawMessage
	var addresses map[string]string
	json.Unmarshal(raw, &file)
	json.Unmarshal(file["addresses"], &addresses)
	for _, at := range []string{"10.8.1.2:443", "10.8.1.3:443"} {
		honest := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "https", Host: addresses[at]})
		honest.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		b := evil.New(form, honest, attacker.Address())
		if err := b.Serve("127.0.0.1:0"); err != nil {
			l.t.Fatal(err)
		}
		l.t.Cleanup(b.Close)
		l.bmcs, addresses[at] = append(l.bmcs, b), b.Address()
	}
	file["addresses"], _ = json.Marshal(addresses)
	raw, _ = json.Marshal(file)
	if err := os.WriteFile(name, raw, 0o600); err != nil {
		l.t.Fatal(err)
	}
}

func (l *life) prepare(args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	c.Dir = l.dir
	c.Env = append(os.Environ(), "ESXIPLAN_AS_COMMAND=1", "COLUMNS=", "ESXIPLAN_LOCKS="+filepath.Join(l.dir, ".locks"), "BMC_LIFE_PASSWORD="+longPassword,
		"OTEL_EXPORTER_OTLP_ENDPOINT="+l.hook.URL)
	return c
}

// command runs one that must succeed.
func (l *life) command(args ...string) string {
	var said bytes.Buffer
	c := l.prepare(args...)
	c.Stdout, c.Stderr = &said, &said
	if err := c.Start(); err != nil {
		l.t.Fatal(err)
	}
	line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", c.Process.Pid)) // which all users of a machine can read
	err := c.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	name := strings.Join(args, " ")
	l.said["the command line of "+name] = string(line)
	if l.said[name] = said.String(); err != nil {
		l.t.Errorf("%s: %v\n%s", name, err, &said)
	}
	return said.String()
}

// publish builds the images into a folder that serve serves, and names one.
func (l *life) publish(t *testing.T) string {
	writeInstaller(t, filepath.Join(l.dir, "installer.iso"))
	if err := os.Mkdir(filepath.Join(l.dir, "images"), 0o700); err != nil {
		t.Fatal(err)
	}
	at, stop := l.serve(t, "images")
	defer stop()
	plan := strings.Replace(secretPlan(l.hook.URL), `listen = "127.0.0.1:0"`, fmt.Sprintf("directory = \"images\"\n  url = %q", at), 1)
	plan = strings.Replace(plan, `source = "ESXi-8.0U3-24022510.iso"`, `source = "installer.iso"`, 1)
	if err := os.WriteFile(filepath.Join(l.dir, "publish.hcl"), []byte(plan), 0o600); err != nil {
		t.Fatal(err)
	}
	l.command("run", "publish.hcl", "--tags", "build-iso", "--yes", "--run", "publish", "--state", "published")
	images, err := filepath.Glob(filepath.Join(l.dir, "images", "*", "long.iso"))
	if err != nil || len(images) != 1 {
		t.Fatalf("the images %q were published, %v", images, err)
	}
	return images[0]
}

func writeInstaller(t *testing.T, name string) {
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := isosim.Write(f, isosim.Options{Version: "8.0.3", Build: "24022510", RockRidge: true, Joliet: true}); err != nil {
		t.Fatal(err)
	}
}

// serve serves a folder at a URL until it is stopped.
func (l *life) serve(t *testing.T, dir string) (at string, stop func()) {
	c := l.prepare("serve", dir, "--listen", "127.0.0.1:0")
	out, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(out)
	line, err := reader.ReadString('\n')
	_, at, found := strings.Cut(strings.TrimSpace(line), " on ")
	if !found {
		t.Fatalf("serve says %q, %v", line, err)
	}
	return at, func() {
		c.Process.Signal(syscall.SIGTERM)
		rest, _ := io.ReadAll(reader)
		c.Wait()
		l.said["serve"] = line + string(rest)
	}
}

// judge looks for the secrets in all that was written.
func (l *life) judge(t *testing.T) {
	secrets := []string{longPassword, rootPassword, licenseKey, variable, hookPath, hookKey}
	for _, path := range []string{hookPath, "/broken", "/v1/traces"} {
		if l.said[path] = l.hook.all(path); l.said[path] == "" {
			t.Errorf("nothing was sent to %s", path)
		}
	}
	words := []string{shortPassword}
	for _, b := range l.bmcs {
		for _, s := range b.Secrets() {
			switch {
			case s == shortPassword:
			case len(s) < 16 || strings.HasPrefix(s, "Basic "): // its second half counts
			default:
				secrets = append(secrets, s)
			}
		}
	}
	if len(secrets) < 6 {
		t.Fatalf("the BMCs were given no passwords and tokens: %q", secrets)
	}
	look := func(where, text string) {
		for _, e := range evil.Encodings() {
			for _, s := range secrets {
				if i := strings.Index(text, e.Encode(s)); i >= 0 {
					t.Errorf("%s: %q, %s: %q", where, s, e.Name, text[max(0, i-60):min(len(text), i+60)])
				}
			}
			for _, s := range words {
				if strings.HasPrefix(e.Name, "base64 ") && strings.HasSuffix(e.Name, "on") { // no value of its own
					continue
				}
				alone := regexp.MustCompile(`(^|[^\w\\])` + regexp.QuoteMeta(e.Encode(s)) + `($|\W)`)
				if m := alone.FindStringIndex(text); m != nil {
					t.Errorf("%s: %q, %s: %q", where, s, e.Name, text[max(0, m[0]-60):min(len(text), m[1]+60)])
				}
			}
		}
	}
	masked := 0
	for name, text := range l.said {
		look(name, text)
		masked += strings.Count(text, "(sensitive)")
	}
	files := 0
	filepath.WalkDir(l.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".hcl") || filepath.Base(path) == "installer.iso" {
			return err
		}
		b, err := os.ReadFile(path)
		files++
		if strings.HasSuffix(path, ".iso") { // which the license key belongs on
			b = bytes.ReplaceAll(b, []byte(licenseKey), nil)
		}
		look(strings.TrimPrefix(path, l.dir), string(b))
		return err
	})
	if masked < 100 || files < 8 {
		t.Errorf("only %d secrets were masked, and %d files written: the BMCs echo nothing", masked, files)
	}
}

func secretPlan(hook string) string {
	return fmt.Sprintf(`plan "life" {}
variable "note" {
  type      = string
  sensitive = true
  default   = %[4]q
}
image "esxi" {
  source = "ESXi-8.0U3-24022510.iso"
}
media {
  listen = "127.0.0.1:0"
}
notify "told" {
  url     = "%[5]s%[6]s"
  on      = ["start", "failure", "end"]
  secret  = %[7]q
  headers = { X-Key = %[7]q }
}
notify "broken" {
  url    = "%[5]s/broken?key=%[7]s"
  format = "slack"
  on     = ["start"]
}
group "machines" {
  vendor = "dell"
  bmc {
    username = "root"
    tls      = { verify = false }
  }
  esxi {
    netmask       = "255.255.0.0"
    gateway       = "10.9.0.1"
    disk          = { model = "MTFDKBA480TFR" }
    root_password = %[2]q
    license_key   = %[3]q
    current       = { username = "root", password = %[2]q }
  }
  host "long" {
    bmc {
      address  = "10.8.1.2"
      password = env("BMC_LIFE_PASSWORD")
    }
    esxi { address = "10.9.1.2" }
  }
  host "short" {
    bmc {
      address  = "10.8.1.3"
      password = %[1]q
    }
    esxi { address = "10.9.1.3" }
  }
}
step "precheck" "login" { tags = ["pre-check"] }
step "build_iso" "installer" {
  tags  = ["build-iso"]
  image = image.esxi
}
step "eject" "leftovers" {}
step "insert" "cd" { image = step.installer.url }
step "one_time_boot" "cd_once" { target = "cd" }
step "power" "restart" { action = "restart" }
step "wait" "installed" {
  retries = 120
  delay   = "30s"
}
`, shortPassword, rootPassword, licenseKey, variable, hook, hookPath, hookKey)
}
