package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"esxiplan/engine/local"
	"esxiplan/engine/media"
	"esxiplan/engine/media/isosim"
	"esxiplan/engine/survey"
	"esxiplan/engine/twin"
	"esxiplan/schema"
)

// secrets makes up missing secrets, each one once.
type secrets struct {
	mu   sync.Mutex
	made map[string]string
}

func (s *secrets) secret(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made == nil {
		s.made = map[string]string{}
	}
	if _, ok := s.made[name]; !ok {
		s.made[name] = madeUp()
	}
	return s.made[name]
}

// madeUp is a secret that passes for a password and for a serial number of ESXi.
func madeUp() string {
	b := make([]byte, 10)
	rand.Read(b)
	text := strings.ToUpper(hex.EncodeToString(b))
	return strings.Join([]string{madeUpBegin, text[:5], text[5:10], text[10:15], text[15:]}, "-")
}

const madeUpBegin = "SIM1X"

var madeUpForm = regexp.MustCompile(`^` + madeUpBegin + `(-[0-9A-F]{5}){4}$`)

// isMadeUp reports whether a secret has the form of one that was made up, here or by the
// process that serves the simulation.
func isMadeUp(text string) bool { return madeUpForm.MatchString(text) }

// has reports whether a secret was made up here.
func (s *secrets) has(text string) bool {
	for _, made := range s.made {
		if made == text {
			return true
		}
	}
	return false
}

func (s *secrets) names() []string {
	var names []string
	for name := range s.made {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// testbed is where a plan runs without hardware: placeholders of what it lacks, and twins of
// its hosts.
type testbed struct {
	simulation
	fleet   *twin.Fleet
	server  *media.DirectoryServer
	dir     string
	remarks []string
}

// testbedOptions say how to simulate.
type testbedOptions struct {
	clock    *local.Clock
	faults   []string
	profiles []string
	dir      string // for placeholders
	log      func(twin.Entry)
	latency  time.Duration
	secrets  []string
}

// newTestbed makes what the plan lacks, and twins of its hosts.
func newTestbed(p *schema.Plan, hosts []*schema.Host, o testbedOptions) (*testbed, error) {
	s := &testbed{simulation: simulation{Addresses: map[string]string{}, Placeholders: map[string]string{}}, dir: o.dir}
	if p.Untrusted() {
		s.network = &twin.Network{}
	}
	if err := s.images(p, twin.ModuleSize(o.faults)); err != nil {
		return nil, err
	}
	web := map[string]string{}
	if p.Media != nil && p.Media.Directory != nil {
		if err := s.webServer(*p.Media.URL, web, o.clock); err != nil {
			return nil, err
		}
		s.remarks = append(s.remarks, fmt.Sprintf("media.directory is %s", s.Directory))
	}
	if len(o.secrets) > 0 {
		s.remarks = append(s.remarks, "random secrets for "+strings.Join(o.secrets, ", "))
	}
	profiles := map[string]string{}
	for _, spec := range o.profiles {
		host, profile, ok := strings.Cut(spec, "=")
		if _, known := p.Host(host); !ok || !known {
			return nil, fmt.Errorf("--profile %s: write HOST=PROFILE with a host of the plan", spec)
		}
		profiles[host] = profile
	}
	version, build := s.old(p)
	fleet, err := twin.Start(p, hosts, twin.Options{Clock: o.clock, Faults: o.faults, Profiles: profiles, OldVersion: version, OldBuild: build,
		Media: web, Log: o.log, Latency: o.latency, Network: s.network})
	if err != nil {
		s.close()
		return nil, err
	}
	s.fleet, s.Addresses = fleet, fleet.Table()
	return s, nil
}

func (s *testbed) close() {
	if s.fleet != nil {
		s.fleet.Close()
	}
	if s.server != nil {
		s.server.Close(context.Background())
	}
}

// images puts generated images in the place of those that cannot be read.
func (s *testbed) images(p *schema.Plan, moduleSize int) error {
	for _, i := range p.Images {
		if f, err := p.Open(i.Source); err == nil {
			f.Close()
			continue
		}
		version, build := versionOf(i)
		placeholder := filepath.Join(s.dir, i.Name+".iso")
		f, err := os.Create(placeholder)
		if err != nil {
			return err
		}
		err = isosim.Write(f, isosim.Options{Version: version, Build: build, Size: moduleSize})
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return err
		}
		s.Placeholders[i.Source] = placeholder
		s.remarks = append(s.remarks, fmt.Sprintf("image %s is a generated one (%s build %s)", i.Name, version, build))
	}
	return nil
}

func versionOf(i *schema.Image) (version, build string) {
	version, build = media.VersionFromName(filepath.Base(i.Source))
	if i.Version != nil {
		version = *i.Version
	}
	if i.Build != nil {
		build = *i.Build
	}
	if version == "" {
		version = "8.0.3"
	}
	if build == "" {
		build = "24674464"
	}
	return version, build
}

// old is the system that runs before: the image's own version and build, the
// hardest case to tell apart.
func (s *testbed) old(p *schema.Plan) (version, build string) {
	if len(p.Images) == 0 {
		return "8.0.3", "24674464"
	}
	i := p.Images[0]
	if _, placeholder := s.Placeholders[i.Source]; placeholder {
		return versionOf(i)
	}
	if installer, err := openInstaller(p, i); err == nil {
		defer installer.Close()
		return installer.Version, installer.Build
	}
	return versionOf(i)
}

// notedEvery is how often what is read is noted in a simulation, where time runs scaled.
const notedEvery = 200 * time.Millisecond

// webServer replaces the web server that serves the plan's directory.
func (s *testbed) webServer(baseURL string, table map[string]string, clock *local.Clock) error {
	u, err := url.Parse(baseURL)
	if err != nil || u.Host == "" {
		return fmt.Errorf("media.url %q is not a URL with a host", baseURL)
	}
	s.Directory = filepath.Join(s.dir, "media")
	at := media.Addresses{HTTP: "127.0.0.1:0"}
	if u.Scheme == "https" {
		at = media.Addresses{HTTPS: "127.0.0.1:0"}
	}
	var sockets media.Sockets
	if s.network != nil {
		sockets, err = s.listen(at)
	} else {
		sockets, err = at.Listen(media.Addresses{}, "", "", "")
	}
	if err != nil {
		return err
	}
	s.server = media.ServeDirectory(media.DirectoryServerOptions{Sockets: sockets, Dir: s.Directory, Now: clock.Now, Every: notedEvery, Simulated: true})
	address := u.Host
	if u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	table[address] = sockets.Addr().String()
	return nil
}

func (s *testbed) note() string {
	text := "simulated machines, whose certificates are not checked"
	if len(s.remarks) == 0 {
		return text
	}
	return text + "; placeholders: " + strings.Join(s.remarks, "; ")
}

// speedFor keeps a rehearsal short without outrunning two cores.
func speedFor(hosts int) float64 { return float64(min(120, max(20, 2400/max(1, hosts)))) }

func (a *app) rehearseCommand() *cobra.Command {
	f := &runFlags{}
	var faults, profiles []string
	var speed float64
	c := &cobra.Command{
		Use:   "rehearse PLAN…",
		Short: "Run the whole plan on simulated machines",
		Long: `Run the plan, unchanged, against simulated twins of its hosts: BMCs of the hosts' vendors on real
HTTPS, a simulated installer that reads what is mounted, an ESXi API that comes up. Time runs faster.
Placeholders replace what is missing, and the output names them: an unreadable image, the media directory, secrets.

Faults add trouble, for every host or for one:

` + faultHelp(),
		Example: "  esxiplan rehearse plans/demo.hcl\n  esxiplan rehearse site.hcl --fault 10.172.18.191=boots-disk",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("speed") {
				if err := checkSpeed(speed); err != nil {
					return err
				}
			}
			return a.rehearse(args, f, faults, profiles, speed)
		},
	}
	f.add(c)
	c.Flags().StringArrayVar(&faults, "fault", nil, "fault to add: KIND or HOST=KIND")
	c.Flags().StringArrayVar(&profiles, "profile", nil, "firmware of a host's simulated BMC: HOST=VENDOR/FIRMWARE")
	c.Flags().Float64Var(&speed, "speed", 0, "how much faster than real time (default: by the number of hosts)")
	return c
}

func faultHelp() string {
	var b strings.Builder
	var kinds []string
	for kind := range twin.FaultKinds {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	for _, kind := range kinds {
		fmt.Fprintf(&b, "  %-15s %s\n", kind, twin.FaultKinds[kind])
	}
	return b.String()
}

func (a *app) rehearse(paths []string, f *runFlags, faults, profiles []string, speed float64) error {
	a.jsonl = f.output == "jsonl"
	made := &secrets{}
	p, err := a.load(paths, &f.planFlags, made.secret)
	if err != nil {
		return err
	}
	if d := p.Rehearse(func() { err = a.rehearsePlan(p, f, faults, profiles, speed, made) }); d != nil {
		return a.report(p, hcl.Diagnostics{d})
	}
	return err
}

// rehearsePlan rehearses a plan that was loaded.
func (a *app) rehearsePlan(p *schema.Plan, f *runFlags, faults, profiles []string, speed float64, made *secrets) error {
	dir, err := os.MkdirTemp("", "esxiplan-rehearsal-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	where := site{state: f.state}
	if where.state == "" {
		where.state = filepath.Join(dir, "state")
	}
	found, diags := survey.New(p, stepTypes(), survey.Options{Choice: f.choice})
	if err := a.report(p, diags); err != nil {
		return err
	}
	if speed <= 0 {
		speed = speedFor(len(found.Hosts()))
	}
	where.clock = local.NewClock(speed)
	s, err := newTestbed(p, found.Hosts(), testbedOptions{clock: where.clock, faults: faults, profiles: profiles, dir: dir, secrets: made.names()})
	if err != nil {
		return err
	}
	defer s.close()
	where.sim, where.note = &s.simulation, s.note()
	err = (&request{app: a, flags: f, plan: p, site: where, rehearsal: true}).run()
	a.consoles(s)
	return err
}

// consoles shows what is on the screens of machines that did not come up: on
// real machines a person would have to look there.
func (a *app) consoles(s *testbed) {
	for _, m := range s.fleet.Machines {
		lines := m.Console()
		if len(lines) == 0 || strings.HasPrefix(lines[len(lines)-1], "ESXi ") {
			continue
		}
		fmt.Fprintf(a.streams.Err, "%s, on its console: %s\n", m.Host.Name, lines[len(lines)-1])
	}
}

// simFile is what sim writes for run --sim.
type simFile struct {
	simulation
	Speed   float64           `json:"speed"`
	Start   time.Time         `json:"start"`
	Secrets map[string]string `json:"secrets"` // made-up ones
	Remarks []string          `json:"remarks"`
}

func (f *simFile) secret(name string) string { return f.Secrets[name] }

func (f *simFile) note() string { return (&testbed{remarks: f.Remarks}).note() }

func readSimFile(name string) (*simFile, error) {
	b, err := schema.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("--sim: %w", err)
	}
	f := &simFile{}
	if err := json.Unmarshal(b, f); err != nil || f.Speed <= 0 {
		return nil, fmt.Errorf("--sim: %s is not a file that esxiplan sim wrote", name)
	}
	return f, nil
}
