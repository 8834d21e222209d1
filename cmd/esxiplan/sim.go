package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"esxiplan/engine/local"
	"esxiplan/engine/survey"
	"esxiplan/engine/twin"
	"esxiplan/schema"
)

func (a *app) simCommand() *cobra.Command {
	f := &planFlags{}
	var faults, profiles []string
	var speed float64
	var out, log, tally string
	var latency time.Duration
	c := &cobra.Command{
		Use:   "sim PLAN…",
		Short: "Serve simulated machines for a plan on loopback sockets",
		Long: `Serve the twins of a plan's hosts on real loopback sockets, for esxiplan run --sim or for any other Redfish
client, until Ctrl-C. Prints where each BMC and ESXi is. The file given by --out holds addresses, placeholders and
made-up secrets; run --sim reads it.`,
		Example: "  esxiplan sim site.hcl --out sim.json &\n  esxiplan run site.hcl --sim sim.json --dry-run",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if latency < 0 {
				return fmt.Errorf("--latency takes 0 or a time such as 20ms, not %s", latency)
			}
			if err := checkSpeed(speed); err != nil {
				return err
			}
			return a.sim(args, f, simOptions{faults, profiles, speed, out, log, tally, latency})
		},
	}
	f.add(c)
	f.addSelection(c)
	c.Flags().StringArrayVar(&faults, "fault", nil, "fault to add: KIND or HOST=KIND; see esxiplan rehearse --help")
	c.Flags().StringArrayVar(&profiles, "profile", nil, "firmware of a host's simulated BMC: HOST=VENDOR/FIRMWARE")
	c.Flags().Float64Var(&speed, "speed", 60, "how much faster than real time")
	c.Flags().StringVar(&out, "out", "sim.json", "file to write, which run --sim reads")
	c.Flags().StringVar(&tally, "tally", "", "file for the final state of each machine, as JSON")
	c.Flags().DurationVar(&latency, "latency", 0, "how long each answer of a BMC takes")
	c.Flags().StringVar(&log, "log", "", "file for a line of JSON per request that a BMC or ESXi answers")
	return c
}

type simOptions struct {
	faults, profiles []string
	speed            float64
	out, log, tally  string
	latency          time.Duration
}

func (a *app) sim(paths []string, f *planFlags, o simOptions) error {
	made := &secrets{}
	p, err := a.load(paths, f, made.secret)
	if err != nil {
		return err
	}
	found, diags := survey.New(p, stepTypes(), survey.Options{Choice: f.choice, DryRun: true})
	if err := a.report(p, diags); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "esxiplan-sim-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	record, closeLog, err := a.requestLog(o.log)
	if err != nil {
		return err
	}
	defer closeLog()
	clock := local.NewClock(o.speed)
	s, err := newTestbed(p, found.Hosts(), testbedOptions{clock: clock, faults: o.faults, profiles: o.profiles, dir: dir, secrets: made.names(),
		log: record, latency: o.latency})
	if err != nil {
		return err
	}
	defer s.close()
	start, speed := clock.Origin()
	file := simFile{simulation: s.simulation, Speed: speed, Start: start, Secrets: made.made, Remarks: s.remarks}
	if err := writeSimFile(o.out, file); err != nil {
		return err
	}
	a.printSim(s, found.Hosts(), o.out, made)
	soft, _, stop := interrupts(func(string) {})
	defer stop()
	<-soft.Done()
	return writeTally(o.tally, s.fleet.Tallies())
}

func writeTally(name string, tallies []twin.Tally) error {
	if name == "" {
		return nil
	}
	b, err := json.MarshalIndent(tallies, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(b, '\n'), 0o600)
}

// writeSimFile writes the file for run --sim, which holds secrets, for its owner only, and
// writes through no link: the file lies next to a plan, which may be a stranger's.
func writeSimFile(name string, f simFile) error {
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(name), ".esxiplan-*")
	if err != nil {
		return err
	}
	_, err = file.Write(append(b, '\n'))
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), name)
	}
	if err != nil {
		os.Remove(file.Name())
	}
	return err
}

func (a *app) printSim(s *testbed, hosts []*schema.Host, file string, made *secrets) {
	fmt.Fprintln(a.streams.Out, s.note())
	for _, h := range hosts {
		m := s.fleet.Machine(h.Name)
		password := schema.Hidden // a real one; made-up ones are no secret
		if made.has(h.BMC.Password.Reveal()) {
			password = h.BMC.Password.Reveal()
		}
		line := fmt.Sprintf("%s  BMC https://%s  user %s  password %s", h.Name, m.BMC.Address(), h.BMC.Username, password)
		if h.ESXi != nil {
			line += "  ESXi https://" + s.Addresses[net.JoinHostPort(h.ESXi.Address, "443")]
		}
		fmt.Fprintln(a.streams.Out, line)
	}
	absolute, err := filepath.Abs(file)
	if err != nil {
		absolute = file
	}
	fmt.Fprintf(a.streams.Out, "esxiplan run PLAN --sim %s     reaches them; Ctrl-C ends them\n", absolute)
}

// requestLog writes a line of JSON per request.
func (a *app) requestLog(name string) (record func(twin.Entry), closeLog func() error, err error) {
	if name == "" {
		return nil, func() error { return nil }, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, nil, err
	}
	var mu sync.Mutex
	out := a.secrets.Writer(f)
	encoder := json.NewEncoder(out)
	return func(e twin.Entry) {
		mu.Lock()
		defer mu.Unlock()
		encoder.Encode(e) // whole lines: nothing is held back
	}, f.Close, nil
}
