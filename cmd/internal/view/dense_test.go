package view

import (
	"bufio"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/event"
)

// TestDenseAndGitHub: what they write of runs, where there is no terminal.
func TestDenseAndGitHub(t *testing.T) {
	for _, format := range []string{"dense", "github"} {
		var all strings.Builder
		for _, run := range stories(time.Local) {
			stdout, stderr := show(t, format, Streams{}, run)
			fmt.Fprintf(&all, "==== %s: stderr\n%s==== %s: stdout\n%s", run.name, stderr, run.name, stdout)
		}
		golden(t, format, all.String())
	}
}

// TestDenseLines: a host that began has one line, at its end.
func TestDenseLines(t *testing.T) {
	_, stderr := show(t, "dense", Streams{}, tale{events: fleetUnderWay(time.Local, 1000)})
	if n := strings.Count(stderr, "\n"); n != 1+150 { // the introduction, and those that ended
		t.Errorf("%d lines", n)
	}
}

// commandsOf are the workflow commands in a text, as GitHub's runner finds them.
func commandsOf(text string) (out []string) {
	known := regexp.MustCompile(`^\s*::([a-z-]+)|##\[([a-z-]+)`)
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		for _, m := range known.FindAllStringSubmatch(lines.Text(), -1) {
			out = append(out, m[1]+m[2])
		}
	}
	return out
}

// TestGitHubTakesNoCommands: what machines and plans say is no command, whichever field it is in.
func TestGitHubTakesNoCommands(t *testing.T) {
	const evil = "x\n::add-mask::y\n##[add-path]/tmp\r::stop-commands::z"
	problem := &event.Problem{Summary: evil, Detail: evil, Next: evil}
	tape := newTape(time.Local)
	tape.begin(event.PlanInfo{Hosts: []string{"::error::h"}, Note: evil, Commands: event.Commands{Retry: evil, Show: evil}})
	tape.host("::error::h")
	tape.add(0, event.Event{Kind: event.Warned, Host: "::error::h", Text: evil})
	tape.add(0, event.Event{Kind: event.Warned, Text: evil})
	tape.add(0, event.Event{Kind: event.Diagnosed, Problem: problem})
	tape.add(0, event.Event{Kind: event.Retried, Host: "::error::h", Step: "login", Problem: problem})
	tape.step("::error::h", evil, time.Second, event.Event{Status: event.Failed, Problem: problem})
	tape.end("::error::h", event.Failed, event.Counts{Failed: 1}, evil, nil)
	stdout, stderr := show(t, "github", Streams{}, tale{events: tape.finish(event.Summary{Hosts: map[event.Status]int{event.Failed: 1}, Internal: evil})})
	if got, want := strings.Join(commandsOf(stdout), " "), "warning warning error error group endgroup"; got != want || stderr != "" {
		t.Errorf("commands %s, want %s:\n%s%s", got, want, stdout, stderr)
	}
}
