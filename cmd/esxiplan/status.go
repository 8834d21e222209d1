package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"esxiplan/engine/bmc"
	"esxiplan/engine/esxi"
	"esxiplan/engine/event"
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
until Ctrl-C (exit 0); the hosts with problems come first where not all have room. Otherwise, and with
--once, status looks once, and the exit code says whether all BMCs could be read (2 failed, 4 unreachable,
6 both).`,
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
			s := &statusRun{app: a, world: w, hosts: hosts, forks: f.forks, once: once || asJSON || !term.IsTerminal(1)}
			return s.run(asJSON, every)
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
	once  bool // one look, not a live table

	reads   *readings
	clients []bmc.Client
	probes  []esxi.Client
}

func (s *statusRun) run(asJSON bool, every time.Duration) error {
	soft, _, stop := interrupts(func(string) {})
	defer stop()
	s.reads = s.newReadings(len(s.hosts))
	defer s.reads.Close()
	s.world.trace.above(s.reads)
	if err := s.open(); err != nil {
		return err
	}
	defer s.close()
	found := s.look(soft)
	s.reads.Close() // later looks stand in the table
	for drawn := []string(nil); ; found = s.look(soft) {
		if asJSON {
			encoder := json.NewEncoder(s.streams.Out)
			encoder.SetIndent("", "  ")
			encoder.Encode(found)
		} else if soft.Err() == nil {
			drawn = s.draw(found, drawn, every)
		}
		var errs []error
		for _, h := range found {
			errs = append(errs, h.err)
		}
		if s.once {
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
		c, err := s.world.reader(h, func(text string) { s.reads.Say("warning: " + text) })
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

// look looks at every host.
func (s *statusRun) look(ctx context.Context) []hostStatus {
	found := make([]hostStatus, len(s.hosts))
	each(s.hosts, s.forks, func(i int, h *schema.Host) {
		s.reads.count(h.Name, func() error {
			found[i] = s.lookAt(ctx, i)
			return found[i].err
		})
	})
	return found
}

// lookAt looks at one host.
func (s *statusRun) lookAt(ctx context.Context, i int) hostStatus {
	h := hostStatus{Host: s.hosts[i].Name, Power: "?", Media: "?", Boot: "?", ESXi: "-"}
	s.clients[i].Refresh(0)
	err := s.clients[i].Prefetch(ctx, func(ctx context.Context, c bmc.Reader) {
		c.Power(ctx)
		c.Boot(ctx)
		c.Slots(ctx)
	})
	if err == nil {
		err = h.read(ctx, s.clients[i])
	}
	if err != nil {
		h.err, h.Problem = err, explained(err)
	}
	if s.probes[i] != nil {
		h.probe(ctx, s.probes[i])
	}
	return h
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
			"clear the override (esxiplan do one_time_boot … target=none)", boot.Target)
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

// statusRows are what a look found, as a table.
func statusRows(found []hostStatus) (rows []listRow) {
	for _, h := range found {
		power := h.Power
		if h.Post != "" {
			power += " (" + h.Post + ")"
		}
		rows = append(rows, listRow{{"host", h.Host}, {"power", power}, {"boot", h.Boot}, {"esxi", h.ESXi}, {"media", h.Media}, {"problem", h.Problem}})
	}
	return rows
}

// draw writes the table over the one that is on the terminal, and returns its lines. A single
// look is not redrawn, and is as long as it is.
func (s *statusRun) draw(found []hostStatus, before []string, every time.Duration) []string {
	width, height, err := term.GetSize(1) // it may have changed
	if err != nil || s.once {
		s.printFolded(statusRows(found))
		return nil
	}
	write(s.streams.Out, erased(before, width))
	age := fmt.Sprintf("read at %s, again %s later; Ctrl-C ends", time.Now().Format("15:04:05"), every)
	lines := append(s.screen(found, width, height-1), s.streams.Cut(age, max(1, width-1)))
	write(s.streams.Out, strings.Join(lines, "\n")+"\n")
	return lines
}

// erased takes lines off the terminal, below which the cursor stands. One that cannot erase keeps
// them: the next ones come below.
func erased(lines []string, width int) string {
	up := linesTaken(lines, width)
	if up == 0 || !draws() {
		return ""
	}
	return fmt.Sprintf("\x1b[%dA\x1b[J", up)
}

// screen are the lines of a table on a terminal. Where not all hosts have room, those with a
// problem come first. What has scrolled away cannot be drawn over.
func (s *statusRun) screen(found []hostStatus, width, height int) []string {
	blocks := s.folded(statusRows(found), width-1)
	if len(slices.Concat(blocks...)) >= height {
		blocks = s.folded(statusRows(problemsFirst(found)), width-1)
	}
	lines := fitting(blocks, height)
	for i, line := range lines { // a terminal may be narrower than a word
		lines[i] = s.streams.Cut(line, max(1, width-1))
	}
	return lines
}

func problemsFirst(found []hostStatus) []hostStatus {
	bad := slices.DeleteFunc(slices.Clone(found), func(h hostStatus) bool { return h.Problem == "" })
	good := slices.DeleteFunc(slices.Clone(found), func(h hostStatus) bool { return h.Problem != "" })
	return append(bad, good...)
}

// fitting leaves out the rows for which a terminal has no lines. The first block is the head.
func fitting(blocks [][]string, height int) (lines []string) {
	if all := slices.Concat(blocks...); len(all) < height {
		return all
	}
	kept := 0
	for kept < len(blocks) && len(lines)+len(blocks[kept]) <= height-2 {
		lines = append(lines, blocks[kept]...)
		kept++
	}
	return append(lines, "and "+event.Count(len(blocks)-max(kept, 1), "more host")+"; --limit chooses")
}

// linesTaken is how many lines of a terminal these take, which may have become narrower since they
// were written.
func linesTaken(lines []string, width int) (n int) {
	for _, line := range lines {
		n += max(1, (ansi.StringWidth(line)+width-1)/max(1, width))
	}
	return n
}
