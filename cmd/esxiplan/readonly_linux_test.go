package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"esxiplan/engine/event"
)

// growsNoFile keeps a process from writing to any file, as if its file systems had become
// read-only: what permissions cannot do to a file that is open, nor to root.
func growsNoFile(t *testing.T, p *os.Process) {
	t.Helper()
	none := syscall.Rlimit{Cur: 0, Max: 0}
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(p.Pid), syscall.RLIMIT_FSIZE, uintptr(unsafe.Pointer(&none)), 0, 0, 0); errno != 0 {
		t.Fatal(errno)
	}
}

// recorded are the changes at machines that a run recorded.
func (s *simulated) recorded() (n int) {
	for _, e := range s.events(simulatedState) {
		if e.Kind == event.WriteMade && e.Write.Door == event.DoorBMC {
			n++
		}
	}
	return n
}

// TestReadOnlyInTheMiddle: whenever the state folder becomes read-only, a run makes no write
// that it could not record, ends and says why; once that is over, --resume does the rest, and
// nothing twice.
func TestReadOnlyInTheMiddle(t *testing.T) {
	t.Parallel()
	said := regexp.MustCompile(`stopped: the log .*ro\.jsonl cannot be written: .*make room or repair the disk, then continue the run`)
	for name, c := range map[string]struct {
		media string
		is    func(event.Event) bool
	}{
		"an insert":              {toDirectory, func(e event.Event) bool { return e.Write != nil && e.Write.Verb == event.Insert }},
		"a restart":              {toDirectory, func(e event.Event) bool { return e.Write != nil && e.Write.Verb == event.Reset }},
		"the wait":               {toDirectory, func(e event.Event) bool { return e.Kind == event.StepStarted && e.Step == "installed" }},
		"a run that serves":      {fromRun, func(e event.Event) bool { return e.Write != nil && e.Write.Verb == event.Insert }},
		"the first of its steps": {fromRun, func(e event.Event) bool { return e.Kind == event.StepStarted }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := simulatePlan(t, fleetPlan(2, c.media), "--speed", "60", "--tally", "tally.json")
			r := s.begin(s.run("--run", "ro"))
			s.until("it is there", func() bool { return slices.ContainsFunc(s.events(simulatedState), c.is) })
			growsNoFile(t, r.c.Process)
			if code := r.wait(); code != event.ExitInternal || !said.MatchString(r.said()) {
				t.Fatalf("exit %d\n%s", code, r.said())
			}
			if writes, recorded := s.writes(), s.recorded(); writes > recorded {
				t.Errorf("%d writes, of which %d are recorded\n%s", writes, recorded, r.said())
			}
			again, err := s.run("--resume").CombinedOutput()
			if err != nil || !strings.Contains(string(again), "2 hosts: 2 changed, 2 proven installed") {
				t.Errorf("%v\n%s", err, again)
			}
			s.onceEach(s.end())
		})
	}
}
