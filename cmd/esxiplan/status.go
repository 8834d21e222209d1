package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"esxiplan/engine/bmc"
	"esxiplan/engine/esxi"
	"esxiplan/engine/step"
	"esxiplan/schema"
)

func (a *app) statusCommand() *cobra.Command {
	f := &lookFlags{}
	var every time.Duration
	var once, asJSON bool
	c := &cobra.Command{
		Use:   "status PLAN…",
		Short: "Show power, media, boot override and ESXi of the plan's hosts, live",
		Long: `Look at the plan's hosts: power state, what is mounted, the boot source override, and what answers on
the ESXi address (asked without a password). Nothing is written. On a terminal the table is redrawn
until Ctrl-C, which is its ordinary end (exit 0); else, and with --once, there is one look, and the exit
code says whether all BMCs could be read (2 failed, 4 unreachable, 6 both).`,
		Example: "  esxiplan status site.hcl --limit rack7\n  esxiplan status site.hcl --json | jq .",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if every < time.Second {
				return fmt.Errorf("--every takes a second or more, not %s: BMCs are slow", every)
			}
			w, hosts, err := a.openWorld(args, f)
			if err != nil {
				return err
			}
			defer w.trace.close()
			s := &statusRun{app: a, world: w, hosts: hosts, forks: f.forks}
			return s.run(once || asJSON || !term.IsTerminal(1), asJSON, every)
		},
	}
	f.add(c)
	c.Flags().DurationVar(&every, "every", 5*time.Second, "pause between two looks")
	c.Flags().BoolVar(&once, "once", false, "look once, also on a terminal")
	c.Flags().BoolVar(&asJSON, "json", false, "look once and write JSON")
	return c
}

// hostStatus is what one look found.
type hostStatus struct {
	Host    string `json:"host"`
	Power   string `json:"power"`
	Post    string `json:"post,omitempty"`
	Media   string `json:"media"`
	Boot    string `json:"boot"`
	ESXi    string `json:"esxi"`
	Problem string `json:"problem,omitempty"`

	err error
}

type statusRun struct {
	*app
	world *world
	hosts []*schema.Host
	forks int

	clients []bmc.Client
	probes  []esxi.Client
}

func (s *statusRun) run(once, asJSON bool, every time.Duration) error {
	soft, _, stop := interrupts(func(string) {})
	defer stop()
	if err := s.open(); err != nil {
		return err
	}
	defer s.close()
	for drawn := 0; ; {
		found := s.look(soft)
		if asJSON {
			encoder := json.NewEncoder(s.streams.Out)
			encoder.SetIndent("", "  ")
			encoder.Encode(found)
		} else if soft.Err() == nil {
			drawn = s.draw(found, drawn)
		}
		var errs []error
		for _, h := range found {
			errs = append(errs, h.err)
		}
		if once {
			return lookExit(errs)
		}
		select {
		case <-soft.Done():
			return nil
		case <-time.After(every):
		}
	}
}

func (s *statusRun) open() error {
	for _, h := range s.hosts {
		c, err := s.world.reader(h, func(text string) { fmt.Fprintln(s.streams.Err, "warning: "+text) })
		if err != nil {
			return err
		}
		s.clients = append(s.clients, c)
		var x esxi.Client
		if h.ESXi != nil {
			x = esxi.Open(s.world.esxiOptions(h.ESXi))
		}
		s.probes = append(s.probes, x)
	}
	return nil
}

func (s *statusRun) close() {
	each(s.clients, s.forks, func(i int, c bmc.Client) {
		if err := c.Close(context.Background()); err != nil {
			fmt.Fprintf(s.streams.Err, "%s: %v\n", s.hosts[i].Name, err)
		}
		if s.probes[i] != nil {
			s.probes[i].Close()
		}
	})
}

func (s *statusRun) look(ctx context.Context) []hostStatus {
	found := make([]hostStatus, len(s.hosts))
	each(s.hosts, s.forks, func(i int, h *schema.Host) {
		found[i] = hostStatus{Host: h.Name, Power: "?", Media: "?", Boot: "?", ESXi: "-"}
		s.clients[i].Refresh(0)
		err := s.clients[i].Prefetch(ctx, func(ctx context.Context, c bmc.Reader) {
			c.Power(ctx)
			c.Boot(ctx)
			c.Slots(ctx)
		})
		if err == nil {
			err = found[i].read(ctx, s.clients[i])
		}
		if err != nil {
			found[i].err, found[i].Problem = err, explained(err)
		}
		if s.probes[i] != nil {
			found[i].probe(ctx, s.probes[i])
		}
	})
	return found
}

func (h *hostStatus) read(ctx context.Context, c bmc.Reader) error {
	power, err := c.Power(ctx)
	if err != nil {
		return err
	}
	h.Power, h.Post = string(power.State), power.Post
	boot, err := c.Boot(ctx)
	if err != nil {
		return err
	}
	if h.Boot = boot.String(); step.Loops(boot) {
		h.Problem = fmt.Sprintf("the machine starts from %s at every boot, and would be installed again and again: "+
			"take the override away (esxiplan do one_time_boot … target=none)", boot.Target)
	}
	slots, err := c.Slots(ctx)
	if err != nil {
		return err
	}
	var mounted []string
	for _, slot := range slots {
		if slot.Loaded {
			mounted = append(mounted, slot.ID+": "+slot.Shown())
		}
	}
	h.Media = strings.Join(mounted, ", ")
	if h.Media == "" {
		h.Media = "empty"
	}
	return nil
}

func (h *hostStatus) probe(ctx context.Context, x esxi.Client) {
	p, err := x.Probe(ctx)
	switch {
	case err != nil:
		h.ESXi = err.Error()
	case p.State == esxi.Up:
		h.ESXi = p.Version + " build " + p.Build
	default:
		h.ESXi = string(p.State)
	}
}

// draw writes the table over the one before it; it returns how many lines it has.
func (s *statusRun) draw(found []hostStatus, before int) int {
	if before > 0 {
		fmt.Fprintf(s.streams.Out, "\x1b[%dA\x1b[J", before)
	}
	var rows []listRow
	for _, h := range found {
		power := h.Power
		if h.Post != "" {
			power += " (" + h.Post + ")"
		}
		rows = append(rows, listRow{{"host", h.Host}, {"power", power}, {"boot", h.Boot}, {"esxi", h.ESXi}, {"media", h.Media}, {"problem", h.Problem}})
	}
	width, height, err := term.GetSize(1) // it may have changed
	if err != nil {
		width, height = s.streams.Width, 0
	}
	lines := fitting(strings.Split(strings.TrimSuffix(s.table(rows, width-1), "\n"), "\n"), height)
	for _, line := range lines {
		if width > 0 { // which may be less than any table takes
			line = ansi.Truncate(line, width-1, "…")
		}
		fmt.Fprintln(s.streams.Out, line)
	}
	return len(lines)
}

// fitting leaves out what a terminal has no lines for: what has scrolled away cannot
// be drawn over.
func fitting(lines []string, height int) []string {
	if height == 0 || len(lines) < height {
		return lines
	}
	shown := max(1, height-2)
	return append(lines[:shown:shown], fmt.Sprintf("and %d more hosts; --limit chooses", len(lines)-shown))
}
