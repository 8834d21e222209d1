package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"esxiplan/engine/esxi/esxisim"
	"esxiplan/engine/media/isosim"
	"esxiplan/engine/twin"
)

// TestMain lets the test binary be the command, for scripts and for tests that
// start it themselves. These wait for simulated machines most of the time, so more of them
// run at once than there are processors.
func TestMain(m *testing.M) {
	if os.Getenv("ESXIPLAN_AS_COMMAND") != "" {
		main()
	}
	flag.Set("test.parallel", strconv.Itoa(3*runtime.GOMAXPROCS(0)))
	testscript.Main(m, map[string]func(){"esxiplan": main})
}

// TestScripts runs the command line as users do. The scripts' own commands:
//
//	plan N FILE [DIR]     write a plan for N hosts; DIR publishes there, else the run serves
//	sim PLAN [FLAG…]      serve simulated machines in the background: sim.json, log.jsonl
//	endsim                end them
//	writes HOST           print what was written to a host's BMC, one line each
//	onlyreads             demand that the log holds reading requests only
//	sessions              demand that every session opened was closed
//	clearlog              forget the log so far
//	iso FILE              write an installer image
//	exits CODE ARG…       run esxiplan and demand an exit code
//	awaits PATTERN        wait until there is a file of that name
//	hooks                 receive webhooks at $HOOKS: /broken answers 500, /hang never
//	received PATH         print what came to a path, one body a line
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("..", "..", "testdata", "script"),
		UpdateScripts: os.Getenv("UPDATE") != "",
		Setup: func(e *testscript.Env) error {
			plans, err := filepath.Abs(filepath.Join("..", "..", "plans"))
			e.Setenv("PLANS", plans)
			e.Setenv("LANG", "C.UTF-8")
			e.Setenv("ESXIPLAN_LOCKS", filepath.Join(e.WorkDir, ".locks"))
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"plan": writePlan, "sim": startSim, "endsim": endSim, "writes": printWrites, "nowrites": noWrites, "logins": countLogins, "onlyreads": onlyReads, "sessions": sessions, "clearlog": clearLog, "iso": writeISO,
			"secret": secretIn, "exits": exits, "awaits": awaits, "hooks": startHooks, "received": received,
		},
	})
}

func writePlan(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	media := `listen = "127.0.0.1:0"`
	if len(args) > 2 {
		media = fmt.Sprintf("directory = %q\n  url = \"http://203.0.113.1/iso\"", args[2])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(fleetPlan(n, media)), 0o644))
}

// fleetPlan is a plan for n hosts of three vendors.
func fleetPlan(n int, media string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "plan \"fleet\" {}\nimage \"esxi\" {\n  source = \"VMware-VMvisor-Installer-8.0U3-24022510.iso\"\n}\nmedia {\n  %s\n}\n", media)
	for g, vendor := range []string{"dell", "hpe", "lenovo"} {
		fmt.Fprintf(&b, `group %q {
  vendor = %[1]q
  bmc {
    username = "root"
    password = "calvin-%[1]s"
    tls      = { verify = false }
  }
  esxi {
    netmask       = "255.255.0.0"
    gateway       = "10.9.0.1"
    disk          = { model = "MTFDKBA480TFR" }
    root_password = "Test-password-1x"
    current       = { username = "root", password = "Test-password-1x" }
  }
`, vendor)
		for i := g; i < n; i += 3 {
			fmt.Fprintf(&b, "  host \"h%03d\" {\n    serial = \"SN%05d\"\n    bmc { address = \"10.8.%d.%d\" }\n    esxi { address = \"10.9.%[3]d.%[4]d\" }\n  }\n", i, i, 1+i/200, 2+i%200)
		}
		b.WriteString("}\n")
	}
	b.WriteString(`step "precheck" "login" { tags = ["pre-check"] }
step "build_iso" "installer" {
  tags  = ["build-iso"]
  image = image.esxi
}
step "eject" "leftovers" { tags = ["mount-iso"] }
step "insert" "installer_cd" {
  tags  = ["mount-iso"]
  image = step.installer.url
}
step "one_time_boot" "cd" {
  tags   = ["mount-iso"]
  target = "cd"
}
step "power" "restart" {
  tags   = ["reboot"]
  action = "restart"
}
step "wait" "installed" { tags = ["post-check"] }
`)
	return b.String()
}

// exits runs the command and demands an exit code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	path, err := lookIn(ts.Getenv("PATH"), "esxiplan")
	ts.Check(err)
	c := exec.Command(path, args[1:]...)
	c.Dir, c.Env, c.Stdout, c.Stderr = ts.MkAbs("."), append(os.Environ(), "COLUMNS="), ts.Stdout(), ts.Stderr()
	if c.Run(); fmt.Sprint(c.ProcessState.ExitCode()) != args[0] {
		ts.Fatalf("exit code %d, not %s", c.ProcessState.ExitCode(), args[0])
	}
}

// simulators are the commands that scripts, which run at the same time, have started.
var simulators sync.Map

func startSim(ts *testscript.TestScript, _ bool, args []string) {
	os.Remove(ts.MkAbs("sim.json"))
	path, err := lookIn(ts.Getenv("PATH"), "esxiplan")
	ts.Check(err)
	c := exec.Command(path, append([]string{"sim", "--out", "sim.json", "--log", "log.jsonl"}, args...)...)
	c.Dir, c.Env = ts.MkAbs("."), append(os.Environ(), "COLUMNS=")
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	ts.Check(c.Start())
	simulators.Store(ts, c)
	ts.Defer(func() { end(c) })
	for range 200 {
		if _, err := os.Stat(ts.MkAbs("sim.json")); err == nil {
			return
		}
		pause()
	}
	ts.Fatalf("esxiplan sim did not start: %s", out.String())
}

func lookIn(path, name string) (string, error) {
	for _, dir := range filepath.SplitList(path) {
		file := filepath.Join(dir, name)
		if _, err := os.Stat(file); err == nil {
			return file, nil
		}
	}
	return "", os.ErrNotExist
}

// pause is a look apart from another at a process that cannot tell when it is ready.
func pause() { <-time.After(50 * time.Millisecond) }

func end(c *exec.Cmd) {
	if c.ProcessState == nil {
		c.Process.Signal(syscall.SIGTERM)
		c.Wait()
	}
}

func endSim(ts *testscript.TestScript, _ bool, _ []string) {
	c, ok := simulators.Load(ts)
	if !ok {
		ts.Fatalf("there is no simulator to end")
	}
	end(c.(*exec.Cmd))
}

func readLog(ts *testscript.TestScript) []twin.Entry {
	f, err := os.Open(ts.MkAbs("log.jsonl"))
	ts.Check(err)
	defer f.Close()
	var out []twin.Entry
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var e twin.Entry
		if json.Unmarshal(lines.Bytes(), &e) == nil {
			out = append(out, e)
		}
	}
	return out[min(len(out), forgotten(ts)):]
}

// logStarts holds how many lines of a script's log are forgotten; scripts run side by side.
var logStarts sync.Map

func forgotten(ts *testscript.TestScript) int {
	n, _ := logStarts.LoadOrStore(ts, 0)
	return n.(int)
}

func clearLog(ts *testscript.TestScript, _ bool, _ []string) {
	logStarts.Store(ts, forgotten(ts)+len(readLog(ts)))
}

// isWrite tells requests that change something. The action that asks for the state of
// a lifecycle controller only answers.
func isWrite(e twin.Entry) bool {
	if strings.HasSuffix(e.Path, ".GetRemoteServicesAPIStatus") {
		return false
	}
	return e.Door == "bmc" && e.Method != "GET" && e.Method != "HEAD" && !strings.Contains(e.Path, "/Sessions")
}

// noWrites demands that nothing was written to the BMCs of these hosts.
func noWrites(ts *testscript.TestScript, _ bool, args []string) {
	for _, e := range readLog(ts) {
		if slices.Contains(args, e.Host) && isWrite(e) {
			ts.Fatalf("%s was sent %s %s %s", e.Host, e.Method, e.Path, e.Body)
		}
	}
}

// countLogins demands so many logins to a host's ESXi.
func countLogins(ts *testscript.TestScript, _ bool, args []string) {
	n := 0
	for _, e := range readLog(ts) {
		if e.Host == args[0] && e.Door == "esxi" && e.Path == "Login" {
			n++
		}
	}
	if fmt.Sprint(n) != args[1] {
		ts.Fatalf("%s saw %d logins, not %s", args[0], n, args[1])
	}
}

// printWrites prints the writes of a host in words.
func printWrites(ts *testscript.TestScript, _ bool, args []string) {
	n := 0
	for _, e := range readLog(ts) {
		if e.Host != args[0] || !isWrite(e) {
			continue
		}
		n++
		body := map[string]any{}
		json.Unmarshal([]byte(e.Body), &body)
		switch {
		case strings.HasSuffix(e.Path, "EjectMedia") || strings.Contains(e.Path, "VirtualMedia") && body["Image"] == nil:
			fmt.Fprintln(ts.Stdout(), "eject")
		case strings.Contains(e.Path, "VirtualMedia"):
			fmt.Fprintln(ts.Stdout(), "insert")
		case strings.HasSuffix(e.Path, "ComputerSystem.Reset"):
			fmt.Fprintln(ts.Stdout(), "reset", body["ResetType"])
		default:
			fmt.Fprintln(ts.Stdout(), "boot")
		}
	}
	if n == 0 {
		fmt.Fprintln(ts.Stdout(), "nothing")
	}
}

var readingMethods = []string{"RetrieveServiceContent", "Login", "Logout", "RetrieveProperties", "RetrievePropertiesEx", "CurrentTime", "installDate"}

func onlyReads(ts *testscript.TestScript, _ bool, _ []string) {
	log := readLog(ts)
	if len(log) == 0 {
		ts.Fatalf("nothing was asked at all")
	}
	for _, e := range log {
		if e.Door == "bmc" && e.Method != "GET" && e.Method != "HEAD" || e.Door == "esxi" && !slices.Contains(readingMethods, e.Path) {
			ts.Fatalf("%s %s of %s is no reading request", e.Method, e.Path, e.Host)
		}
	}
}

func sessions(ts *testscript.TestScript, _ bool, _ []string) {
	open := map[string]int{}
	for _, e := range readLog(ts) {
		switch {
		case e.Door == "bmc" && e.Method == "POST" && strings.HasSuffix(strings.TrimSuffix(e.Path, "/"), "/Sessions") && e.Status == 201, e.Door == "esxi" && e.Path == "Login":
			open[e.Door+" of "+e.Host]++
		case e.Door == "bmc" && e.Method == "DELETE" && e.Status < 300, e.Door == "esxi" && (e.Path == "Logout" || e.Path == esxisim.SessionLost):
			open[e.Door+" of "+e.Host]--
		}
	}
	for name, n := range open {
		if n != 0 {
			ts.Fatalf("%d sessions of the %s stay open", n, name)
		}
	}
}

func writeISO(ts *testscript.TestScript, _ bool, args []string) {
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	defer f.Close()
	o := isosim.Options{Version: "8.0.3", Build: "24022510", RockRidge: true, Joliet: true}
	if len(args) > 1 {
		o.Files = map[string]string{args[1]: strings.Join(args[2:], " ")}
	}
	ts.Check(isosim.Write(f, o))
}

// secretIn demands that a text stands in no file below a folder.
func secretIn(ts *testscript.TestScript, neg bool, args []string) {
	found := ""
	filepath.WalkDir(ts.MkAbs(args[1]), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			b, _ := os.ReadFile(path)
			if bytes.Contains(b, []byte(args[0])) {
				found = path
			}
		}
		return nil
	})
	if neg == (found != "") {
		ts.Fatalf("secret %q found: %q", args[0], found)
	}
}
