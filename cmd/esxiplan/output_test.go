package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestOutputIsLost: a command whose output could not be written does not end as if somebody
// had read it; one whose reader went away does.
func TestOutputIsLost(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil && os.Getenv("CI") != "" {
		t.Fatalf("CI must have /dev/full: %v", err)
	}
	if err != nil {
		t.Skip("this system has no /dev/full")
	}
	t.Cleanup(func() { full.Close() })
	read, gone, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	read.Close()
	t.Cleanup(func() { gone.Close() })
	plan := filepath.Join("..", "..", "plans", "demo.hcl")
	for name, c := range map[string]struct {
		args []string
		to   *os.File
		code int
	}{
		"help":         {[]string{"--help"}, full, 1},
		"list":         {[]string{"list", "hosts", plan}, full, 1},
		"rehearse":     {[]string{"rehearse", plan, "--limit", "dell-1"}, full, 1},
		"reader left":  {[]string{"rehearse", plan, "--limit", "dell-1"}, gone, 0},
		"usage anyway": {[]string{"list", "nothing", plan}, full, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], c.args...)
			var said bytes.Buffer
			cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), "ESXIPLAN_AS_COMMAND=1"), c.to, &said
			err := cmd.Run()
			var exit *exec.ExitError
			if code := cmd.ProcessState.ExitCode(); code != c.code || err != nil && !errors.As(err, &exit) {
				t.Errorf("exit %d, not %d: %v\n%s", code, c.code, err, &said)
			}
			if lost := bytes.Contains(said.Bytes(), []byte("the output is incomplete")); lost != (c.to == full && name != "usage anyway") {
				t.Errorf("said:\n%s", &said)
			}
		})
	}
}
