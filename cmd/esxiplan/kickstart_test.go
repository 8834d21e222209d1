package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"esxiplan/engine/event"
)

// TestLintReadsPipes: a pipe that ends is linted, one that never ends is cut off, and one
// that says nothing ends with Ctrl-C.
func TestLintReadsPipes(t *testing.T) {
	lint := func(file string) (*exec.Cmd, *bytes.Buffer) {
		c, out := exec.Command(os.Args[0], "kickstart", "lint", file), &bytes.Buffer{}
		c.Env, c.Stdout, c.Stderr = append(os.Environ(), "ESXIPLAN_AS_COMMAND=1"), out, out
		return c, out
	}
	t.Run("endless", func(t *testing.T) {
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		c, out := lint("-")
		c.Stdin = read
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		read.Close()
		for line := bytes.Repeat([]byte("reboot\n"), 1000); err == nil; { // until nobody reads
			_, err = write.Write(line)
		}
		write.Close()
		if c.Wait(); !strings.Contains(out.String(), "- is larger than 4 MiB") {
			t.Errorf("%v: %s", c.ProcessState, out)
		}
	})
	t.Run("silent", func(t *testing.T) {
		fifo := filepath.Join(t.TempDir(), "ks.cfg")
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		c, out := lint(fifo)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		write, err := os.OpenFile(fifo, os.O_WRONLY, 0) // returns once it is being read
		if err != nil {
			t.Fatal(err)
		}
		defer write.Close()
		c.Process.Signal(os.Interrupt)
		err = c.Wait()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != event.ExitInterrupted || !strings.Contains(out.String(), "interrupted before its end") {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("ends", func(t *testing.T) {
		c, out := lint("-")
		c.Stdin = strings.NewReader("vmaccepteula\n")
		if c.Run(); !strings.Contains(out.String(), "[missing-install]") {
			t.Errorf("%s", out)
		}
	})
	t.Run("folder", func(t *testing.T) {
		c, out := lint(t.TempDir())
		if c.Run(); !strings.Contains(out.String(), "is neither a file nor a pipe") {
			t.Errorf("%s", out)
		}
	})
}
