// Command evil puts evil BMCs before simulated ones, one for each form of harm, and lets
// esxiplan discover them, look at them, check them and install their machines.
//
// Whatever a BMC does: no request leaves it for another place, the process takes no more than
// 150 MB and ends in time, not by a signal, says what is wrong with the exit code that goes
// with it, and writes nothing that draws on a terminal.
package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
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
	"time"
	"unicode"
	"unicode/utf8"

	"net/http"

	"esxiplan/engine/bmc/bmcsim/evil"
	"esxiplan/testdata/bench/fleet"
)

// What no process may exceed. A request may take 60 s; in a simulation that runs a hundred
// times as fast as the clock, three, and a command makes some of them, one after the other.
const (
	mostMemory = 150_000 // KB
	mostTime   = 90 * time.Second
	speed      = "100"
)

// commands are those that are tried, by the names that forms use.
var commands = map[string][]string{
	"discover": {"discover", "site.hcl", "--sim", "sim.json", "-o", "json", "-vvv"},
	"status":   {"status", "site.hcl", "--sim", "sim.json", "--once"},
	"precheck": {"run", "site.hcl", "--sim", "sim.json", "--tags", "pre-check"},
	"run":      {"run", "site.hcl", "--sim", "sim.json", "--yes", "-vv"},
}

var order = []string{"discover", "status", "precheck", "run"}

func main() {
	esxiplan := flag.String("esxiplan", "bin/esxiplan", "the binary")
	only := flag.String("forms", "", "regular expression of the forms to try; all if empty")
	which := flag.String("commands", strings.Join(order, ","), "commands to try")
	side := flag.Int("parallel", 4, "forms at once")
	flag.Parse()
	if err := judge(*esxiplan, *only, strings.Split(*which, ","), *side); err != nil {
		fmt.Fprintln(os.Stderr, "evil:", err)
		os.Exit(1)
	}
}

func judge(binary, only string, names []string, side int) error {
	binary, err := filepath.Abs(binary)
	if err != nil {
		return err
	}
	wanted, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	forms := slices.DeleteFunc(evil.Forms(), func(f evil.Form) bool { return !wanted.MatchString(f.Name) })
	if len(forms) == 0 {
		return fmt.Errorf("there is no form %q", only)
	}
	s, err := begin(binary, forms)
	if err != nil {
		return err
	}
	defer s.end()
	trials := s.try(names, side)
	return s.report(trials)
}

// stage is a fleet of honest machines, an evil BMC before each, and an attacker.
type stage struct {
	*fleet.Fleet
	forms    []evil.Form
	attacker *evil.Attacker
	bmcs     []*evil.BMC
}

func begin(binary string, forms []evil.Form) (*stage, error) {
	attacker, err := evil.NewAttacker("127.0.0.9:0")
	if err != nil {
		return nil, err
	}
	f, err := fleet.New(binary, len(forms), fleet.Serve)
	if err != nil {
		return nil, err
	}
	s := &stage{Fleet: f, forms: forms, attacker: attacker}
	if err := os.WriteFile(filepath.Join(f.Dir, "site.hcl"), []byte(plan(len(forms))), 0o600); err != nil {
		return nil, err
	}
	if err := f.Start("--speed", speed); err != nil {
		return nil, err
	}
	return s, s.intrude()
}

func (s *stage) end() {
	for _, b := range s.bmcs {
		b.Close()
	}
	s.Stop()
	s.attacker.Close()
	s.Remove()
}

// intrude puts the evil BMCs where the plan's hosts have theirs, and the attacker where
// clients would look for it.
func (s *stage) intrude() error {
	name := filepath.Join(s.Dir, "sim.json")
	raw, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	var file map[string]json.RawMessage
	var addresses map[string]string
	if err := errors.Join(json.Unmarshal(raw, &file), json.Unmarshal(file["addresses"], &addresses)); err != nil {
		return err
	}
	for i, form := range s.forms {
		at := bmcOf(i) + ":443"
		honest := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "https", Host: addresses[at]})
		honest.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		b := evil.New(form, honest, s.attacker.Address())
		if err := b.Serve("127.0.0.1:0"); err != nil {
			return err
		}
		s.bmcs, addresses[at] = append(s.bmcs, b), b.Address()
		addresses[net.JoinHostPort(bmcOf(i)+".attacker.example", "443")] = s.attacker.Address()
	}
	for _, at := range []string{"127.0.0.9:443", "127.0.0.9:80", "attacker.example:443"} {
		addresses[at] = s.attacker.Address()
	}
	file["addresses"], err = json.Marshal(addresses)
	if err != nil {
		return err
	}
	raw, err = json.Marshal(file)
	return errors.Join(err, os.WriteFile(name, raw, 0o600))
}

// trial is one command on one evil BMC.
type trial struct {
	form    evil.Form
	command string
	exit    int
	signal  bool
	memory  int64 // KB
	took    time.Duration
	out     string
}

// try makes all trials, the commands of one form one after the other.
func (s *stage) try(names []string, side int) []trial {
	all := make([][]trial, len(s.forms))
	free := make(chan struct{}, max(1, side))
	var wait sync.WaitGroup
	for i := range s.forms {
		wait.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			for _, name := range names {
				all[i] = append(all[i], s.run(i, name))
			}
		})
	}
	wait.Wait()
	return slices.Concat(all...)
}

func (s *stage) run(i int, name string) trial {
	c := s.Command(append(slices.Clone(commands[name]), "--limit", hostOf(i))...)
	if name == "precheck" || name == "run" {
		c.Args = append(c.Args, "--run", fmt.Sprintf("%s-%d", name, i))
	}
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	began := time.Now()
	late := time.AfterFunc(mostTime, func() { c.Process.Signal(syscall.SIGKILL) })
	err := c.Run()
	late.Stop()
	t := trial{form: s.forms[i], command: name, took: time.Since(began), out: out.String()}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.out = err.Error()
	}
	t.exit, t.signal = c.ProcessState.ExitCode(), c.ProcessState.ExitCode() < 0
	t.memory = c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss
	return t
}

// problems lists what must not be.
func (t trial) problems() (out []string) {
	say := func(bad bool, format string, args ...any) {
		if bad {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	fails := slices.Contains(t.form.Fails, t.command)
	want := map[bool]int{true: 2}[fails]
	if fails && t.form.Unreachable {
		want = 4
	}
	say(t.signal, "was ended by a signal after %s", t.took.Round(time.Second))
	say(!t.signal && t.exit != want, "exit code %d, not %d", t.exit, want)
	says, err := regexp.MatchString(t.form.Says, t.out)
	say(err != nil || fails && !says, "does not say %q", t.form.Says)
	say(t.memory > mostMemory, "takes %d MB", t.memory/1000)
	say(t.took > mostTime, "takes %s", t.took)
	say(strings.Contains(t.out, "goroutine "), "shows the inside of the program")
	say(!utf8.ValidString(t.out), "writes bytes that are no text")
	drawn := strings.IndexFunc(t.out, func(r rune) bool {
		return r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp))
	})
	say(drawn >= 0, "writes what draws on a terminal: %q", t.out[max(0, drawn-40):min(len(t.out), max(0, drawn)+40)])
	say(regexp.MustCompile(`(?m)^fake: proven`).MatchString(t.out), "writes a line of the BMC's own")
	return out
}

// report prints what was found and what it took, and fails where something must not be.
func (s *stage) report(trials []trial) error {
	bad := 0
	var memory, took trial
	for _, t := range trials {
		if t.memory > memory.memory {
			memory = t
		}
		if t.took > took.took {
			took = t
		}
		if problems := t.problems(); len(problems) > 0 {
			bad++
			fmt.Printf("%s, %s: %s\n%s\n", t.form.Name, t.command, strings.Join(problems, "; "), indent(t.out))
		}
	}
	came := s.attacker.Came()
	fmt.Printf("evil BMCs: %d forms, %d commands, %d as they must not be; the attacker got %d connections; at most %d MB (%s, %s; bound %d) and %s (%s, %s)\n",
		len(s.forms), len(trials), bad, len(came), memory.memory/1000, memory.form.Name, memory.command, mostMemory/1000, took.took.Round(10*time.Millisecond), took.form.Name, took.command)
	if bad > 0 || len(came) > 0 {
		return fmt.Errorf("%d commands went wrong, and the attacker heard %q", bad, came)
	}
	return nil
}

// indent shows the end of an output, as what it is: somebody else's.
func indent(text string) string {
	const most = 3000
	if len(text) > most {
		text = "…" + text[len(text)-most:]
	}
	quoted := fmt.Sprintf("%+q", text)
	return "    " + strings.ReplaceAll(quoted[1:len(quoted)-1], `\n`, "\n    ")
}

func hostOf(i int) string { return fmt.Sprintf("h%03d", i) }

func bmcOf(i int) string { return fmt.Sprintf("10.8.1.%d", i+2) }

// plan has a host for each form, all of one vendor.
func plan(hosts int) string {
	var b strings.Builder
	b.WriteString(`plan "evil" {}
image "esxi" {
  source = "ESXi-8.0U3-24022510.iso"
}
media {
  listen = "127.0.0.1:0"
}
group "evil" {
  vendor = "dell"
  bmc {
    username = "root"
    password = "calvin-evil-1x"
    tls      = { verify = false }
  }
  esxi {
    netmask       = "255.255.0.0"
    gateway       = "10.9.0.1"
    disk          = { model = "MTFDKBA480TFR" }
    root_password = "Evil-password-1x"
    current       = { username = "root", password = "Evil-password-1x" }
  }
`)
	for i := range hosts {
		fmt.Fprintf(&b, "  host %q {\n    bmc { address = %q }\n    esxi { address = \"10.9.1.%d\" }\n  }\n", hostOf(i), bmcOf(i), i+2)
	}
	b.WriteString(`}
step "precheck" "login" { tags = ["pre-check"] }
step "build_iso" "installer" { image = image.esxi }
step "eject" "leftovers" {}
step "insert" "cd" { image = step.installer.url }
step "one_time_boot" "cd_once" { target = "cd" }
step "power" "restart" { action = "restart" }
step "wait" "installed" {
  retries = 120
  delay   = "30s"
}
`)
	return b.String()
}
