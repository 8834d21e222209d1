package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"esxiplan/cmd/internal/view"
	"esxiplan/engine/bmc"
	"esxiplan/engine/local"
	"esxiplan/engine/step"
	"esxiplan/engine/text"
	"esxiplan/schema"
)

// discoverFlags are those of discover.
type discoverFlags struct {
	lookFlags
	username    string
	passwordEnv string
	insecure    bool
	fingerprint string
	system      string
	output      string
	html        string
	write       bool
	picks       string
}

func (a *app) discoverCommand() *cobra.Command {
	f := &discoverFlags{}
	c := &cobra.Command{
		Use:   "discover PLAN… | ADDRESS…",
		Short: "Read the hardware behind many BMCs: identity, media, disks, network ports",
		Long: `Read what BMCs report about their machines: those of a plan, or those at the given addresses. Only
read requests are sent, and one login per BMC. Which BMCs have not answered yet is shown in one line on
a terminal, else once a minute.

Addresses may be names, IP addresses and networks (10.172.18.0/28). --username and the environment
variable ` + passwordVariable + ` then give the login; without the variable discover asks for the password.

--html FILE writes a self-contained page in which to filter machines, and to pick the disk and NIC of each
host; it saves the picks to a file. Of existing files only a page is replaced. --write completes the plan's
files and keeps their comments: it adds missing serial numbers, and disk and NIC where the picks (--picks
FILE) name them or the machine has only one. Where a dynamic block makes the host from a row of a CSV file,
serial number and NIC go into the empty cell from which the block takes them; what has no such cell is
printed with its row.`,
		Example: `  esxiplan discover site.hcl --html rack.html
  esxiplan discover site.hcl --write --picks picks.json
  ` + passwordVariable + `=… esxiplan discover 10.172.18.0/28 --username root --insecure -o json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.discover(c, args, f) },
	}
	f.add(c)
	c.Flags().StringVarP(&f.username, "username", "u", "root", "user of the BMCs at addresses")
	c.Flags().StringVar(&f.passwordEnv, "password-env", passwordVariable, "environment variable with their password")
	c.Flags().BoolVar(&f.insecure, "insecure", false, "do not check the certificates of BMCs at addresses")
	c.Flags().StringVar(&f.fingerprint, "fingerprint", "", "certificate that the BMCs at addresses must present: sha256:…")
	c.Flags().StringVar(&f.system, "system", "", "id of the computer system to read where a BMC at an address manages several")
	c.Flags().StringVarP(&f.output, "output", "o", "table", "output: table, details or json")
	c.Flags().StringVar(&f.html, "html", "", "write a page in which to filter machines and pick disks and NICs")
	c.Flags().BoolVar(&f.write, "write", false, "write missing serial numbers, disks and NICs into the plan's files")
	c.Flags().StringVar(&f.picks, "picks", "", "file with the picks that the page saved")
	return c
}

// discoverForms are the forms in which discover writes.
var discoverForms = []string{"table", "details", "json"}

// passwordVariable holds the password for BMCs at addresses.
const passwordVariable = "ESXIPLAN_BMC_PASSWORD"

func (a *app) discover(c *cobra.Command, args []string, f *discoverFlags) error {
	if !slices.Contains(discoverForms, f.output) {
		return fmt.Errorf("-o takes table, details or json, not %q%s", f.output, schema.DidYouMean(f.output, discoverForms))
	}
	isPlan, err := planArguments(args)
	if err != nil {
		return err
	}
	if err := f.fits(isPlan, c); err != nil {
		return err
	}
	page, err := f.page(c)
	if err != nil {
		return err
	}
	picks, err := readPicks(f.picks)
	if err != nil {
		return err
	}
	w, hosts, err := a.discoverWorld(args, isPlan, f)
	if err != nil {
		return err
	}
	defer w.trace.close()
	for host := range picks {
		if _, ok := w.plan.Host(host); !ok {
			return fmt.Errorf("--picks: the plan has no host %q", host)
		}
	}
	found := a.readMachines(w, hosts, f.forks)
	err = a.showMachines(found, f)
	if page != nil {
		err = errors.Join(err, a.writePage(found, page))
	}
	if err != nil {
		return err
	}
	if f.write {
		a.unusedPicks(found, picks)
		if err := a.complete(w.plan, found, picks); err != nil {
			return err
		}
	}
	var errs []error
	for _, m := range found {
		errs = append(errs, m.err)
	}
	return lookExit(errs)
}

// planArguments distinguishes plans from addresses: a plan is a file or folder that exists, or has
// the name of one. Both at once are refused.
func planArguments(args []string) (bool, error) {
	plans := 0
	for _, arg := range args {
		_, err := os.Stat(arg)
		head, _, _ := strings.Cut(arg, "/")
		_, noAddress := netip.ParseAddr(head)
		isPath := strings.ContainsRune(arg, filepath.Separator) && !strings.Contains(arg, "://") && noAddress != nil
		if err == nil || isPath || strings.HasSuffix(arg, ".hcl") || strings.HasSuffix(arg, ".json") {
			plans++
		}
	}
	if plans > 0 && plans < len(args) {
		return false, errors.New("discover takes plans or addresses, not both at once; does one of these plans not exist?")
	}
	return plans > 0, nil
}

// fits refuses flags that would be ignored.
func (f *discoverFlags) fits(isPlan bool, c *cobra.Command) error {
	foreign := map[bool][]string{
		true:  {"username", "password-env", "insecure", "fingerprint", "system"},
		false: {"limit", "var", "var-file", "sim", "state", "write", "picks"},
	}[isPlan]
	for _, name := range foreign {
		if c.Flags().Changed(name) {
			return fmt.Errorf("--%s goes with %s", name, map[bool]string{true: "addresses, not with a plan, whose bmc blocks have it",
				false: "a plan, not with addresses"}[isPlan])
		}
	}
	if f.picks != "" && !f.write {
		return errors.New("--picks needs --write")
	}
	return nil
}

func (a *app) discoverWorld(args []string, isPlan bool, f *discoverFlags) (*world, []*schema.Host, error) {
	if isPlan {
		return a.openWorld(args, &f.lookFlags)
	}
	password, err := a.bmcPassword(f.passwordEnv)
	if err != nil {
		return nil, nil, err
	}
	a.secrets.AddLogin(f.username, password)
	hosts, err := hostsAt(args, f, password)
	if err != nil {
		return nil, nil, err
	}
	if f.forks < 1 {
		return nil, nil, fmt.Errorf("--forks takes a number of hosts, 1 or more, not %d", f.forks)
	}
	here := site{clock: local.NewClock(1)}
	if err := a.fit(&here, need{hosts: min(f.forks, len(hosts)), forks: f.forks}, &f.forks); err != nil {
		return nil, nil, err
	}
	w := a.newWorld(&schema.Plan{Dir: "."}, here, nil)
	w.trace, err = newTracer(f.trace, a.streams.Err, a.secrets)
	return w, hosts, err
}

func (a *app) bmcPassword(variable string) (string, error) {
	if password := os.Getenv(variable); password != "" {
		return password, nil
	}
	if !term.IsTerminal(int(a.in.Fd())) {
		return "", fmt.Errorf("no password for the BMCs: set %s, or run this on a terminal", variable)
	}
	write(a.streams.Err, "password of the BMCs: ")
	b, err := a.readHidden()
	write(a.streams.Err, "\n")
	return string(b), err
}

// mostAddresses bounds a network given by mistake.
const mostAddresses = 4096

// hostsAt makes hosts of addresses and networks.
func hostsAt(args []string, f *discoverFlags, password string) ([]*schema.Host, error) {
	tls := &schema.TLS{}
	if f.fingerprint != "" {
		tls.Fingerprint = &f.fingerprint
	} else if verify := !f.insecure; f.insecure {
		tls.Verify = &verify
	}
	var hosts []*schema.Host
	for _, arg := range args {
		addresses, err := addressesOf(arg)
		if err != nil {
			return nil, err
		}
		for _, address := range addresses {
			h := &schema.Host{Name: address.String(), Group: "addresses", Vendor: "auto",
				BMC: schema.BMC{Address: address, Username: f.username, Password: schema.NewSecret(password), TLS: tls}}
			if f.system != "" {
				h.BMC.System = &f.system
			}
			hosts = append(hosts, h)
		}
	}
	return hosts, nil
}

// addressesOf lists the hosts of a network, without its first and last address.
func addressesOf(arg string) ([]schema.Address, error) {
	address, err := schema.ParseAddress(arg)
	if err == nil {
		return []schema.Address{address}, nil
	}
	prefix, prefixErr := netip.ParsePrefix(arg)
	if prefixErr != nil {
		if strings.Contains(arg, "/") && !strings.Contains(arg, "://") {
			return nil, fmt.Errorf("%s is not a network: %w", arg, prefixErr)
		}
		return nil, err
	}
	bits := prefix.Addr().BitLen() - prefix.Bits()
	if bits > 12 {
		return nil, fmt.Errorf("%s has more than %d addresses", arg, mostAddresses)
	}
	var out []schema.Address
	for at := prefix.Masked().Addr(); prefix.Contains(at); at = at.Next() {
		address, err := schema.ParseAddress(at.String())
		if err != nil {
			return nil, err
		}
		out = append(out, address)
	}
	if bits > 1 && len(out) > 2 {
		out = out[1 : len(out)-1]
	}
	return out, nil
}

// machine is what was found behind one BMC.
type machine struct {
	host  *schema.Host
	facts step.Facts
	err   error
	took  time.Duration
}

func (a *app) readMachines(w *world, hosts []*schema.Host, forks int) []machine {
	reads := a.newReadings(len(hosts))
	defer reads.Close()
	w.trace.above(reads)
	soft, _, stop := interrupts(reads.Say)
	defer stop()
	found := make([]machine, len(hosts))
	each(hosts, forks, func(i int, h *schema.Host) {
		began := time.Now()
		found[i] = machine{host: h}
		reads.count(h.Name, func() error {
			found[i].facts, found[i].err = w.readMachine(soft, h, func(text string) { reads.Say("warning: " + text) })
			return found[i].err
		})
		found[i].took = time.Since(began)
	})
	return found
}

func (w *world) readMachine(ctx context.Context, h *schema.Host, warn func(string)) (step.Facts, error) {
	if err := ctx.Err(); err != nil {
		return step.Facts{}, err
	}
	c, err := w.reader(h, warn)
	if err != nil {
		return step.Facts{}, err
	}
	facts, err := step.FactsOf(ctx, c)
	if closeErr := c.Close(ctx); closeErr != nil {
		warn(h.Name + ": " + closeErr.Error())
	}
	return facts, err
}

func (a *app) showMachines(found []machine, f *discoverFlags) error {
	switch f.output {
	case "json":
		encoder := json.NewEncoder(a.streams.Out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(a.findings(found))
	case "details":
		a.printDetails(found)
	default:
		a.printMachines(found)
	}
	return nil
}

// findings are the machines as data. The page holds them as part of a script, so that they
// are masked by value before.
func (a *app) findings(found []machine) []view.Finding {
	out := []view.Finding{}
	for _, m := range found {
		f := view.Finding{Host: m.host.Name, Group: m.host.Group, Address: m.host.BMC.Address.String(), Seconds: m.took.Seconds()}
		if m.err != nil {
			f.Problem = a.secrets.Mask(explained(m.err))
		}
		if m.facts.Vendor != "" {
			for _, d := range m.facts.Drives {
				choice := choiceOf(d, m.facts.Drives)
				for argument, value := range choice {
					choice[argument] = a.secrets.Mask(value)
				}
				f.Choices = append(f.Choices, choice)
			}
			facts, _ := json.Marshal(m.facts)
			f.Facts = text.InJSON(facts, a.secrets.Mask)
		}
		disk, problem := planned(m)
		f.Disk, f.DiskProblem = a.secrets.Mask(disk), a.secrets.Mask(problem)
		f.PlanDisk, f.PlanNIC = plannedPorts(m)
		f.Ignores = ignored(m.host)
		for what, why := range f.Ignores {
			f.Ignores[what] = a.secrets.Mask(why)
		}
		out = append(out, f)
	}
	return out
}

// plannedPorts is which of the machine's disks and network ports the plan names: the place of the
// disk among all disks, nil for none, and the MAC address of the port, "" for none.
func plannedPorts(m machine) (disk *int, nic string) {
	x := m.host.ESXi
	if x == nil || m.err != nil {
		return nil, ""
	}
	if x.Disk != nil && !x.Disk.Deferred() {
		all := m.facts.Disks()
		if d, err := step.ResolveDisk(x.Disk, all); err == nil {
			at := slices.IndexFunc(all, func(other bmc.Disk) bool { return reflect.DeepEqual(d, other) })
			disk = &at
		}
	}
	if x.NIC != nil {
		at := slices.IndexFunc(m.facts.NICs, func(n bmc.NIC) bool { return strings.EqualFold(n.MAC, *x.NIC) })
		if at >= 0 {
			nic = m.facts.NICs[at].MAC
		}
	}
	return disk, nic
}

// planned is the disk that the plan's selector takes on the machine, or why it takes no disk.
func planned(m machine) (disk, problem string) {
	if m.host.ESXi == nil || m.host.ESXi.Disk == nil || m.host.ESXi.Disk.Deferred() || m.err != nil {
		return "", ""
	}
	want := m.host.ESXi.Disk
	d, err := step.ResolveDisk(want, m.facts.Disks())
	switch {
	case err != nil && want.Confirm != nil && !*want.Confirm:
		return want.String() + " (the BMC does not confirm it: confirm = false)", ""
	case err != nil:
		return "", err.Error()
	}
	return strings.TrimSpace(d.Controller + " " + d.Name), ""
}

func (a *app) printMachines(found []machine) {
	var rows []listRow
	for _, m := range found {
		if m.err != nil && m.facts.Vendor == "" {
			continue
		}
		x := m.facts
		row := listRow{{"host", m.host.Name}, {"vendor", x.Vendor}, {"model", x.Model}, {"serial", x.Serial},
			{"power", x.Power}, {"boot", strings.TrimSpace(x.BootMode + " " + onOff(x.SecureBoot))}, {"media", mediaText(x)},
			{"disks", diskText(x.Drives)}, {"nics", nicText(x.NICs)}, {"bmc", strings.TrimSpace(x.BMC + " " + x.Firmware)}}
		rows = append(rows, row)
	}
	a.printFolded(rows)
	var problems sameTexts
	for _, m := range found {
		if m.err != nil {
			problems.add(m.host.Name, view.Clean(explained(m.err)))
		}
		if _, problem := planned(m); problem != "" {
			problems.add(m.host.Name, "the plan's disk: "+problem)
		}
	}
	problems.write(a.streams.Err)
}

func onOff(secureBoot *bool) string {
	if secureBoot != nil && *secureBoot {
		return "Secure Boot"
	}
	return ""
}

// mediaText counts the drives that take a CD, and those of them that hold one.
func mediaText(x step.Facts) string {
	takes, mounted := 0, 0
	for _, s := range x.Media {
		if s.CD {
			takes++
			if s.Image != "" {
				mounted++
			}
		}
	}
	if mounted > 0 {
		return fmt.Sprintf("%d (%d mounted)", takes, mounted)
	}
	return fmt.Sprint(takes)
}

func diskText(disks []bmc.Disk) string {
	if disks == nil {
		return "?"
	}
	for _, d := range disks {
		if d.Boot {
			return fmt.Sprintf("%d (%s)", len(disks), d.Model)
		}
	}
	return fmt.Sprint(len(disks))
}

func nicText(nics []bmc.NIC) string {
	if nics == nil {
		return "?"
	}
	up := 0
	for _, n := range nics {
		if n.Link == "LinkUp" {
			up++
		}
	}
	return fmt.Sprintf("%d (%d up)", len(nics), up)
}

// printDetails lists each machine with its disks and ports.
func (a *app) printDetails(found []machine) {
	var out strings.Builder
	defer func() { write(a.streams.Out, view.Clean(out.String())) }()
	for _, m := range found {
		fmt.Fprintf(&out, "%s\n", m.host.Name)
		if m.err != nil {
			fmt.Fprintf(&out, "  %s\n", explained(m.err))
		}
		if m.facts.Vendor == "" {
			continue
		}
		x := m.facts
		fmt.Fprintf(&out, "  %s %s, serial %s, %s %s, license %s\n  power %s, %s boot, media %s\n", x.Manufacturer, x.Model, orUnknown(x.Serial), x.BMC,
			x.Firmware, orUnknown(x.License), x.Power, orUnknown(x.BootMode), mediaText(x))
		for _, d := range x.Disks() {
			fmt.Fprintf(&out, "  disk  %s\n", diskLine(d))
		}
		switch {
		case x.Drives == nil && m.err != nil:
			fmt.Fprintf(&out, "  disk  unknown\n")
		case x.Drives == nil:
			fmt.Fprintf(&out, "  disk  unknown: the BMC reports no storage\n")
		}
		for _, n := range x.NICs {
			fmt.Fprintf(&out, "  nic   %s  %s\n", n.MAC, words(n.Link, n.Adapter, n.Slot, portText(n)))
		}
		if name, problem := planned(m); name+problem != "" {
			fmt.Fprintf(&out, "  plan  %s\n", words(name, problem))
		}
	}
}

func diskLine(d bmc.Disk) string {
	id := d.Serial
	if id == "" && len(d.WWN) > 0 {
		id = "wwn " + d.WWN[0]
	}
	if d.Volume && id == "" {
		id = d.Name
	}
	return words(d.Model, id, d.Size(), d.RAID, d.Protocol, d.Media, d.Controller, d.Health, d.State)
}

func portText(n bmc.NIC) string {
	if n.Port == "" {
		return ""
	}
	return "port " + n.Port
}

func words(parts ...string) string {
	var out []string
	for _, p := range parts {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return strings.Join(out, ", ")
}

func orUnknown(text string) string {
	if text == "" {
		return "unknown"
	}
	return text
}

// page is where the page goes, nil where none is wanted. What could not be written, or would
// replace something else, is refused before BMCs are read.
func (f *discoverFlags) page(c *cobra.Command) (*reportFile, error) {
	if !c.Flags().Changed("html") {
		return nil, nil
	}
	if f.html == "" {
		return nil, errors.New("--html takes the name of a file, and the name given is empty: is a variable not set?")
	}
	page := &reportFile{name: f.html, path: resolved(f.html)}
	err := page.checkWritable()
	if err == nil {
		err = checkReplaces(page.path)
	}
	if err != nil {
		return nil, fmt.Errorf("--html %s: %w", f.html, err)
	}
	return page, nil
}

// checkReplaces refuses to replace what is not a page: the plan, its rows, the picks.
func checkReplaces(path string) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	head := make([]byte, len(pageHead))
	n, err := io.ReadFull(file, head)
	if n > 0 && !strings.EqualFold(string(head[:n]), pageHead) {
		return errors.New("this file exists and is not an HTML page: name another one")
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// pageHead is how every HTML page begins.
const pageHead = "<!doctype html>"

// writePage writes the page in which to filter machines and pick disks, as a whole or not at all.
func (a *app) writePage(found []machine, page *reportFile) error {
	f, err := page.temporary()
	if err != nil {
		return fmt.Errorf("--html: %w", err)
	}
	err = errors.Join(view.Discovery(f, a.findings(found), version, time.Now()), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), page.path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("--html %s: the page was not written: %w", page.name, err)
	}
	fmt.Fprintf(a.streams.Err, "wrote %s\n", page.name)
	return nil
}
