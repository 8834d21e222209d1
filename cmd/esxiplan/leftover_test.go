package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/pprof"
	"strconv"
	"testing"
	"time"

	"esxiplan/cmd/internal/view"
)

var rehearsed = flag.Int("hosts", 60, "hosts that TestRehearsalLeavesNothing rehearses")

// TestRehearsalLeavesNothing: goroutines and open files are as many after a rehearsal as
// before it. It runs alone, in this process.
func TestRehearsalLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	plan := filepath.Join(dir, "fleet.hcl")
	if err := os.WriteFile(plan, []byte(fleetPlan(*rehearsed, fromRun)), 0o600); err != nil {
		t.Fatal(err)
	}
	speed := fmt.Sprint(max(12, min(100, 6000 / *rehearsed)))
	rehearse := func(hosts string, n int) {
		var out, said bytes.Buffer
		a := newApp(os.Stdin, &view.Streams{Out: &out, Err: &said})
		c := a.command()
		c.SetArgs([]string{"rehearse", plan, "--limit", hosts, "--speed", speed})
		if err := c.Execute(); err != nil { // a host that fails on a busy machine may leave nothing either
			t.Logf("%v\n%s", err, out.String())
		}
		if ended := hostsEnded(out.String()); ended != n {
			t.Fatalf("%d of %d hosts came to an end, so that nothing is shown about what they leave\n%s%s", ended, n, out.String(), said.String())
		}
	}
	rehearse("h000", 1) // what stays for the whole process is there after it
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	rehearse("all", *rehearsed)
	var g, f int
	for range 200 { // connections take a moment to close
		if g, f = runtime.NumGoroutine(), openFiles(t); g <= goroutines && f <= files {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	var stacks bytes.Buffer
	pprof.Lookup("goroutine").WriteTo(&stacks, 1)
	t.Errorf("%d goroutines, before %d; %d open files, before %d\n%s", g, goroutines, f, files, stacks.String())
}

var recapOfHosts = regexp.MustCompile(`(?m)^(\d+) hosts?: (?:.*?(\d+) stopped)?(?:.*?(\d+) not started)?`)

// hostsEnded is how many hosts the recap counts that were run; 0 where there is no recap.
func hostsEnded(out string) int {
	found := recapOfHosts.FindStringSubmatch(out)
	if found == nil {
		return 0
	}
	all, _ := strconv.Atoi(found[1])
	stopped, _ := strconv.Atoi(found[2]) // "" is none
	idle, _ := strconv.Atoi(found[3])
	return all - stopped - idle
}

// openFiles counts the files that this process has open, where the system tells.
func openFiles(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Logf("open files are not counted: %v", err)
	}
	return len(entries)
}
