// Command startup measures how long esxiplan takes to know what earlier runs did. It makes a
// state folder with the logs of many runs, through package log, and then prints how long it
// takes to read all of them without a snapshot, to start with one, and to list the runs.
//
// There are two kinds of logs: short ones with four records per host, all of which tell of its
// machine, and long ones with the 35 that an installation with seven steps leaves. All runs
// have the same hosts. The last one, if it is long, is not at its end on half of them.
//
// Usage: go run ./testdata/bench/startup [-runs 500] [-long 20] [-hosts 200] [-dir FOLDER]
//
// Years of work at a large site, for which the aim is 0.5 s with a snapshot, are -runs 5000
// -long 200. That takes 2 GB of disk, and some minutes to make; -keep leaves the folder, and
// -state measures one that is there.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/log"
	"esxiplan/schema"
)

func main() {
	var s site
	flag.IntVar(&s.runs, "runs", 500, "runs with short logs")
	flag.IntVar(&s.long, "long", 20, "runs with long logs")
	flag.IntVar(&s.hosts, "hosts", 200, "hosts of each run")
	dir := flag.String("dir", os.TempDir(), "where the state folder is made")
	keep := flag.Bool("keep", false, "leave the state folder")
	flag.StringVar(&s.state, "state", "", "measure this state folder, and make none")
	flag.Parse()
	if s.state == "" {
		made, err := os.MkdirTemp(*dir, "esxiplan-bench-")
		check(err)
		s.state = made
		if !*keep {
			defer os.RemoveAll(made)
		}
		check(s.make())
	}
	check(s.measure())
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "startup:", err)
		os.Exit(1)
	}
}

// site is a state folder and what was done in it.
type site struct {
	state             string
	runs, long, hosts int
}

// make makes the logs.
func (s site) make() error {
	began, runs := time.Now(), filepath.Join(s.state, "runs")
	if err := os.MkdirAll(runs, 0o700); err != nil {
		return err
	}
	all := s.runs + s.long
	for n := range all {
		long := (n+1)*s.long/all > n*s.long/all // spread evenly
		if err := s.add(runs, n, long, n == all-1); err != nil {
			return err
		}
	}
	fmt.Printf("state folder:       %d logs of %d hosts in %s, made in %s\n", all, s.hosts, s.state, time.Since(began).Round(time.Second))
	return nil
}

// add makes a log in a folder of its own, for to begin one beside all others would read what
// they tell, and moves it to them.
func (s site) add(runs string, n int, long, last bool) error {
	alone, name := filepath.Join(s.state, "alone"), fmt.Sprintf("nightly-%05d", n)
	at := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(n) * 6 * time.Hour)
	if err := s.run(alone, name, at, long, last); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(alone, "runs", name+".jsonl"), filepath.Join(runs, name+".jsonl")); err != nil {
		return err
	}
	return os.RemoveAll(alone)
}

var steps = []string{"login", "installer", "leftovers", "cd", "cd_once", "restart", "installed"}

// run makes the log of one run.
func (s site) run(state, name string, at time.Time, long, last bool) error {
	l, err := log.Open(state, name, log.Options{Machine: func(host string) string { return "https://" + host }})
	if err != nil {
		return err
	}
	w := writer{log: l, at: at}
	stage := log.Stage{Number: 1, Plan: "site", Files: []string{"site.hcl"}, Steps: steps, By: event.Who{User: "ci", Host: "build-7", Job: name}, Version: "0.2", Started: at, Digests: schema.Digests{Digests: map[string]map[string]string{}}}
	for h := range s.hosts {
		stage.Hosts = append(stage.Hosts, host(h))
		stage.Digests.Digests[host(h)] = map[string]string{"bmc": "0123456789abcdef", "esxi": "fedcba9876543210", "steps": "00112233445566778"}
	}
	w.keep(log.Record{Event: event.Event{Kind: log.StageStarted}, Stage: &stage})
	w.later(event.Event{Kind: event.RunStarted, Plan: &event.PlanInfo{Name: "site", Files: stage.Files, Hosts: stage.Hosts, Steps: steps, Of: s.hosts}})
	for h := range s.hosts {
		if long {
			w.install(host(h), last && h%2 == 0)
		} else {
			w.proven(host(h))
		}
	}
	w.later(event.Event{Kind: event.RunDone, Summary: &event.Summary{Hosts: map[event.Status]int{event.Changed: s.hosts}}})
	if w.err != nil {
		return w.err
	}
	return l.Close()
}

func host(n int) string { return fmt.Sprintf("10.172.%d.%d", n/200, 10+n%200) }

// writer appends records, a second apart.
type writer struct {
	log *log.Log
	at  time.Time
	err error
}

func (w *writer) keep(records ...log.Record) {
	for i := range records {
		w.at = w.at.Add(time.Second)
		records[i].Time = w.at
	}
	if w.err == nil {
		w.err = w.log.Keep(records...)
	}
}

// later appends an event that the next flush makes durable.
func (w *writer) later(e event.Event) {
	w.at = w.at.Add(time.Second)
	e.Time = w.at
	if w.err == nil {
		w.err = w.log.Later(e)
	}
}

// write appends a change and that it was done. The ID is the one that the log gives it.
func (w *writer) write(host, step string, c event.Change) {
	c.Door, c.Request = event.DoorBMC, "POST /redfish/v1/Managers/iDRAC.Embedded.1/VirtualMedia/CD/Actions/VirtualMedia.InsertMedia"
	w.later(event.Event{Kind: event.WriteMade, Host: host, Group: "dell", Step: step, Type: step, Attempt: 1, Write: &c})
	changes := w.log.History(host).Made(step)
	if len(changes) > 0 {
		w.later(event.Event{Kind: event.WriteDone, Host: host, Group: "dell", Step: step, Type: step, Attempt: 1, Settled: &event.Settled{Change: changes[len(changes)-1].ID, Fate: event.Done}})
	}
}

var restart = event.Change{Verb: event.Reset, Target: "power", Old: "Off", New: "On", Risk: event.Wipes, Intent: event.Intent{Boots: true, Installs: true, Medium: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", Before: &event.Snapshot{State: "esxi", Fingerprint: "sha256:0011223344556677", Build: "24022510"}}}

// proven appends the four records of a short log: a restart and its proof.
func (w *writer) proven(host string) {
	w.later(event.Event{Kind: event.HostStarted, Host: host, Group: "dell"})
	w.write(host, "restart", restart)
	w.later(event.Event{Kind: event.StepDone, Host: host, Group: "dell", Step: "installed", Type: "wait", Status: event.OK, Verdict: &event.Verdict{Proven: true, Seeks: true, Version: "8.0.3", Build: "24022510"}})
}

// install appends what an installation with seven steps leaves, or one whose end is open.
func (w *writer) install(host string, open bool) {
	w.later(event.Event{Kind: event.HostStarted, Host: host, Group: "dell"})
	var attempts []log.Record // each costs an fsync, so they are kept together
	for _, step := range steps {
		attempts = append(attempts, w.step(host, step, open))
	}
	w.keep(attempts...)
	w.later(event.Event{Kind: event.HostDone, Host: host, Group: "dell", Status: event.Changed, Counts: &event.Counts{OK: 2, Changed: 5}})
}

// changes are those of the steps of an installation.
func changes(host string) map[string][]event.Change {
	image, off := "http://10.172.16.2/iso/0123456789abcdef0123456789abcdef/"+host+".iso", restart
	off.Old, off.New = "On", "ForceOff"
	return map[string][]event.Change{
		"leftovers": {{Verb: event.Eject, Target: "slot CD", Old: image}},
		"cd":        {{Verb: event.Insert, Target: "slot CD", New: image, Intent: event.Intent{Medium: restart.Medium}}},
		"cd_once":   {{Verb: event.SetBoot, Target: "source", New: "cd"}},
		"restart":   {off, restart},
		"installed": {{Verb: event.Eject, Target: "slot CD", Old: image}},
	}
}

// step appends the events of a step, and returns the record of its attempt.
func (w *writer) step(host, step string, open bool) log.Record {
	about := event.Event{Host: host, Group: "dell", Step: step, Type: step, Attempt: 1}
	began, attempt, ended := about, about, about
	began.Kind = event.StepStarted
	w.later(began)
	for _, c := range changes(host)[step] {
		w.write(host, step, c)
	}
	result := json.RawMessage(`{"vendor":"dell","model":"PowerEdge R650","serial":"` + host + `","power":"on","slots":["CD","RemovableDisk"],"drives":[{"model":"DELLBOSS VD","size":480103981056}]}`)
	ended.Kind, ended.Status, ended.Result = event.StepDone, event.Changed, result
	if step == "installed" {
		ended.Verdict = &event.Verdict{Proven: !open, Seeks: true, Version: "8.0.3", Build: "24022510"}
	}
	w.later(ended)
	attempt.Kind = log.AttemptDone
	return log.Record{Event: attempt, Outcome: json.RawMessage(`{"result":` + string(result) + `,"elapsed":1234567890,"writes":1}`)}
}

// measure prints how long what a process does at its start takes.
func (s site) measure() error {
	os.Remove(filepath.Join(s.state, "snapshot.json"))
	fmt.Printf("logs:               %.0f MB\n", float64(size(filepath.Join(s.state, "runs", "*")))/1e6)
	know := func() error { _, err := log.Dry(s.state, "next", log.Options{}); return err }
	if err := timed("without snapshot:", know); err != nil {
		return err
	}
	fmt.Printf("snapshot:           %.1f MB\n", float64(size(filepath.Join(s.state, "snapshot.json")))/1e6)
	for _, part := range []struct {
		what string
		do   func() error
	}{
		{"with snapshot:", know},
		{"list of runs:", func() error { _, err := log.List(s.state); return err }},
		{"run, start to end:", s.begin},
	} {
		if err := timed(part.what, part.do); err != nil {
			return err
		}
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return err
	}
	fmt.Printf("peak memory:        %d MB\n", usage.Maxrss/1024)
	return nil
}

// begin does what a run does at its start and at its end.
func (s site) begin() error {
	past, err := log.Read(s.state)
	if err != nil {
		return err
	}
	past.Runs()
	l, err := past.Log("next", log.Options{})
	if err != nil {
		return err
	}
	return errors.Join(l.Begin(), l.Close())
}

func timed(what string, do func() error) error {
	runtime.GC()
	began := time.Now()
	err := do()
	fmt.Printf("%-19s %s\n", what, time.Since(began).Round(time.Millisecond))
	return err
}

// size is that of the files that match, in bytes.
func size(pattern string) (n int64) {
	files, err := filepath.Glob(pattern)
	check(err)
	for _, f := range files {
		info, err := os.Stat(f)
		check(err)
		n += info.Size()
	}
	return n
}
