package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// What a hostile plan may cost a process, whatever it does.
const (
	mostTime   = 2 * time.Second // on all processors
	mostMemory = 300e6           // bytes
)

// ofCaller is a secret in the environment of the process that reads a hostile plan.
const ofCaller = "Secret-of-the-caller"

// TestHostilePlans gives the command plans that would take all memory, time or stack, and
// demands the message, the exit code, and that it costs little. The scripts' own commands:
//
//	repeat FILE N TEXT     append a text N times; {i} is the number, from 0, {j} the next one, \n a line end
//	sparse FILE BYTES      make a file of that size that takes no room
//	fifo FILE              make a named pipe
//	bounded CODE ARG…      run esxiplan, and demand an exit code and bounded cost
func TestHostilePlans(t *testing.T) {
	t.Parallel()
	if raceDetector {
		t.Skip("the race detector takes ten times the time and memory that are measured here")
	}
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("..", "..", "testdata", "hostile"),
		UpdateScripts: os.Getenv("UPDATE") != "",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"repeat": repeat, "sparse": sparse, "fifo": fifo, "bounded": bounded,
		},
	})
}

func repeat(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	defer f.Close()
	b := bufio.NewWriter(f) // what a test keeps in memory counts as that of the process it starts
	text := strings.ReplaceAll(args[2], `\n`, "\n")
	numbered := strings.Contains(text, "{i}") || strings.Contains(text, "{j}")
	for i := range n {
		line := text
		if numbered {
			line = strings.NewReplacer("{i}", strconv.Itoa(i), "{j}", strconv.Itoa(i+1)).Replace(text)
		}
		b.WriteString(line)
	}
	ts.Check(b.Flush())
}

func sparse(ts *testscript.TestScript, _ bool, args []string) {
	size, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), nil, 0o600))
	ts.Check(os.Truncate(ts.MkAbs(args[0]), size))
}

func fifo(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(syscall.Mkfifo(ts.MkAbs(args[0]), 0o600))
}

// bounded ends what does not end by itself after a time that only a hang needs. The memory is
// at least what this test took when it started the process: Linux counts so.
func bounded(ts *testscript.TestScript, _ bool, args []string) {
	path, err := lookIn(ts.Getenv("PATH"), "esxiplan")
	ts.Check(err)
	c := exec.Command(path, args[1:]...)
	c.Dir, c.Env, c.Stdout, c.Stderr = ts.MkAbs("."), []string{"PATH=" + ts.Getenv("PATH"), "HOME=" + ts.Getenv("HOME"), "LANG=C.UTF-8", "COLUMNS=100",
		"AWS_SECRET_ACCESS_KEY=" + ofCaller, "BMC_PASSWORD=" + ofCaller, "ESXIPLAN_VAR_x=" + ofCaller}, ts.Stdout(), ts.Stderr()
	ts.Check(c.Start())
	hang := time.AfterFunc(time.Minute, func() { c.Process.Kill() })
	c.Wait()
	hang.Stop()
	if got := c.ProcessState.String(); got != "exit status "+args[0] {
		ts.Fatalf("%s, not exit status %s", got, args[0])
	}
	used := c.ProcessState.UserTime() + c.ProcessState.SystemTime()
	memory := float64(c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) * 1024
	if testing.Verbose() {
		ts.Logf("%v, %.0f MB", used.Round(time.Millisecond), memory/1e6)
	}
	if used > mostTime || memory > mostMemory {
		ts.Fatalf("%s takes %v and %.0f MB: %v and %.0f MB is the most", strings.Join(args[1:], " "), used, memory/1e6, mostTime, mostMemory/1e6)
	}
}
