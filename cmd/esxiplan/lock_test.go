package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"esxiplan/engine/event"
)

// awaits waits until there is a file of a name.
func awaits(ts *testscript.TestScript, _ bool, args []string) {
	for range 200 {
		if found, err := filepath.Glob(ts.MkAbs(args[0])); err != nil || len(found) > 0 {
			ts.Check(err)
			return
		}
		pause()
	}
	ts.Fatalf("there is no %s", args[0])
}

// only is the one file of that name, once it is there.
func (s *simulated) only(pattern string) string {
	s.t.Helper()
	s.until("there is "+pattern, func() bool { return len(s.found(pattern)) == 1 })
	return s.found(pattern)[0]
}

func (s *simulated) found(pattern string) []string {
	found, _ := filepath.Glob(filepath.Join(s.dir, pattern))
	return found
}

// TestStoppedForLongerThanTheLease: a run that stood still while another one took its machine
// over writes nothing when it awakes; its host fails, and says who has it.
func TestStoppedForLongerThanTheLease(t *testing.T) {
	t.Parallel()
	s := simulate(t, 1, "--speed", "60", "--latency", "20ms")
	old := s.begin(s.run())
	s.until("it is at work", func() bool { return len(s.log()) > 0 })
	old.c.Process.Signal(syscall.SIGSTOP)
	holders, ago := s.found(simulatedState+"/locks/holders/*.json"), time.Now().Add(-time.Hour)
	for _, holder := range holders {
		if err := os.Chtimes(holder, ago, ago); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := s.run("--tags", "pre-check").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	before := s.writes()
	old.c.Process.Signal(syscall.SIGCONT)
	if code := old.wait(); code != event.ExitInternal || !strings.Contains(old.out.String(), "stopped: refused: the locks of this run were taken over by run ") || !strings.Contains(old.out.String(), "Wait for the end of that run, and look at the machines") {
		t.Errorf("exit %d\n%s", code, old.said())
	}
	if n := s.writes(); n != before || n > 3 {
		t.Errorf("%d writes, %d of them before it stood still", n, before)
	}
}

// TestOneBMCInTwoFolders: plans in two folders with state folders of their own do not work on
// one real BMC at once.
func TestOneBMCInTwoFolders(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and never answers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	plan := fmt.Sprintf("group \"g\" {\n  bmc {\n    address  = %q\n    username = \"u\"\n    password = \"p\"\n    tls = { verify = false }\n  }\n  host \"h1\" {}\n}\nstep \"precheck\" \"login\" {}\n", silent.Addr())
	locks := filepath.Join(t.TempDir(), "locks")
	folder := func() *simulated { // of a plan, without a simulation
		s := &simulated{t: t, dir: t.TempDir()}
		if err := os.WriteFile(filepath.Join(s.dir, "site.hcl"), []byte(plan), 0o600); err != nil {
			t.Fatal(err)
		}
		return s
	}
	begin := func(s *simulated) *running {
		c := s.command("run", "site.hcl")
		c.Env = append(c.Env, "ESXIPLAN_LOCKS="+locks)
		return s.begin(c)
	}
	one, two := folder(), folder()
	first := begin(one)
	run := strings.TrimSuffix(filepath.Base(one.only(".esxiplan/runs/*.jsonl")), ".jsonl")
	second := begin(two)
	if code := second.wait(); code != event.ExitRefused || !strings.Contains(second.err.String(), fmt.Sprintf("nothing was started: h1 (bmc %s) is locked by run %s of ", silent.Addr(), run)) {
		t.Errorf("exit %d\n%s", code, second.said())
	}
	first.c.Process.Kill()
	first.wait()
	third := begin(two)
	two.only(".esxiplan/runs/*.jsonl")
	third.interrupt()
	third.wait()
}
