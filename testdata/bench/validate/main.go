// Command validate measures what esxiplan validate costs as a plan grows: three groups,
// seven steps, and 100, 1,000, 3,000 and 10,000 hosts. It prints wall time, CPU time and
// peak memory of the process, the best of several runs, and what one more host costs,
// which must not depend on how many there are.
//
// It measures five plans. In the first every host is written out; in the second each host
// block is empty, and the group looks its host up in a table that csvdecode read; in the
// third it does so in one that yamldecode read, which has a password for each. In the fourth
// dynamic blocks make the hosts from a table, in the fifth ranges count them.
//
// Usage: go run ./testdata/bench/validate -esxiplan bin/esxiplan
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	esxiplan := flag.String("esxiplan", "bin/esxiplan", "the binary")
	runs := flag.Int("runs", 3, "how often each plan is validated")
	flag.Parse()
	if err := bench(*esxiplan, *runs); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// sizes are the numbers of hosts; the first one is the cost of starting at all.
var sizes = []int{1, 100, 1000, 3000, 10000}

// aims by number of hosts.
var aims = map[int]string{1000: "aim 0.2 s", 10000: "aim 2 s, 500 MB"}

func bench(esxiplan string, runs int) error {
	binary, err := filepath.Abs(esxiplan)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "esxiplan-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, k := range kinds {
		fmt.Printf("\nvalidate, %s\n", k.name)
		if err := k.measure(binary, dir, runs); err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
	}
	return nil
}

type cost struct {
	wall, cpu time.Duration
	peak      int64 // bytes
}

// perHost is the CPU time of one host more.
func (c cost) perHost(one cost, hosts int) time.Duration {
	return (c.cpu - one.cpu) / time.Duration(hosts-1)
}

// measure validates plans of all sizes and compares what one more host costs in each with
// what it costs in the largest.
func (k kind) measure(binary, dir string, runs int) error {
	costs := map[int]cost{}
	for _, n := range sizes {
		plan, err := k.write(dir, n)
		if err != nil {
			return err
		}
		if costs[n], err = best(binary, plan, runs); err != nil {
			return err
		}
	}
	one, most := costs[sizes[0]], sizes[len(sizes)-1]
	for _, n := range sizes[1:] {
		c := costs[n]
		fmt.Printf("  %6d hosts: wall %6.3f s, CPU %6.3f s, peak %6.1f MB; per host CPU %7.1f µs, memory %5.1f KB  %s\n", n, c.wall.Seconds(), c.cpu.Seconds(), float64(c.peak)/1e6,
			float64(c.perHost(one, n).Nanoseconds())/1000, float64(c.peak-one.peak)/1000/float64(n-1), aims[n])
	}
	for _, n := range sizes[1 : len(sizes)-1] {
		fmt.Printf("  CPU per host, %d to %d hosts: %.2f\n", most, n, float64(costs[most].perHost(one, most))/float64(costs[n].perHost(one, n)))
	}
	return nil
}

// best is the least that several runs take: what is more is the machine's other work.
func best(binary, plan string, runs int) (least cost, err error) {
	for n := range max(1, runs) {
		c, err := validate(binary, plan)
		if err != nil {
			return cost{}, err
		}
		if n == 0 || c.cpu < least.cpu {
			least = c
		}
	}
	return least, nil
}

func validate(binary, plan string) (cost, error) {
	cmd := exec.Command(binary, "validate", "--offline", plan)
	began := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return cost{}, fmt.Errorf("%w\n%.2000s", err, out)
	}
	wall := time.Since(began)
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return cost{wall, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), usage.Maxrss * 1024}, nil
}

// kind is a way in which a plan says what its hosts are.
type kind struct {
	name    string
	table   string               // expression of a list of hosts; "" where hosts are written out
	file    string               // that the expression reads
	heading string               // of the file
	row     func(machine) string // in the file
	secret  bool                 // the table has a password for each host
	dynamic bool                 // the hosts are made from the table, by one dynamic block for each group
	ranges  bool                 // the hosts are counted, by one range for each group
}

var kinds = []kind{
	{name: "hosts written out"},
	{name: "hosts looked up in a CSV table", table: `csvdecode(file("hosts.csv"))`, file: "hosts.csv", heading: "name,bmc,serial,address,nic\n", row: func(m machine) string {
		return strings.Join([]string{m.name, m.bmc, m.serial, m.address, m.nic}, ",") + "\n"
	}},
	{name: "hosts looked up in a YAML table", table: `yamldecode(file("hosts.yaml"))`, file: "hosts.yaml", row: func(m machine) string {
		return fmt.Sprintf("- {name: %s, bmc: %s, serial: %s, address: %s, nic: \"%s\", password: bench-%s}\n", m.name, m.bmc, m.serial, m.address, m.nic, m.serial)
	}, secret: true},
	{name: "hosts made from a CSV table", table: `csvdecode(file("hosts.csv"))`, file: "hosts.csv", heading: "name,bmc,serial,address,nic\n", row: func(m machine) string {
		return strings.Join([]string{m.name, m.bmc, m.serial, m.address, m.nic}, ",") + "\n"
	}, dynamic: true},
	{name: "hosts counted by a range", ranges: true},
}

// machine is what is different for each host.
type machine struct{ name, bmc, serial, address, nic string }

func machineOf(i int) machine {
	at := fmt.Sprintf("%d.%d", 1+i/200, 2+i%200)
	return machine{fmt.Sprintf("h%05d", i), "10.8." + at, fmt.Sprintf("SN%05d", i), "10.9." + at, fmt.Sprintf("02:00:00:00:%02X:%02X", i/256, i%256)}
}

// write writes a plan of so many hosts into a folder of its own.
func (k kind) write(dir string, hosts int) (plan string, err error) {
	if dir, err = os.MkdirTemp(dir, "plan-"); err != nil {
		return "", err
	}
	if k.file != "" {
		var rows strings.Builder
		rows.WriteString(k.heading)
		for i := range hosts {
			rows.WriteString(k.row(machineOf(i)))
		}
		if err := os.WriteFile(filepath.Join(dir, k.file), []byte(rows.String()), 0o600); err != nil {
			return "", err
		}
	}
	plan = filepath.Join(dir, "plan.hcl")
	return plan, os.WriteFile(plan, []byte(k.plan(hosts)), 0o600)
}

func (k kind) plan(hosts int) string {
	var b strings.Builder
	b.WriteString(before)
	serial, bmc, esxi, password := "", "", "", `"calvin-bench"`
	if k.secret {
		fmt.Fprintf(&b, "variable \"passwords\" {\n  default   = { for m in %s : m.name => m.password }\n  sensitive = true\n}\n", k.table)
		password = "var.passwords[host.name]"
	}
	if k.table != "" && !k.dynamic {
		fmt.Fprintf(&b, "locals {\n  machines = { for m in %s : m.name => m }\n}\n", k.table)
		serial, bmc, esxi = "  serial = local.machines[host.name].serial\n", "    address  = local.machines[host.name].bmc\n", "    address       = local.machines[host.name].address\n    nic           = local.machines[host.name].nic\n"
	}
	for g, vendor := range []string{"dell", "hpe", "lenovo"} {
		fmt.Fprintf(&b, group, vendor, serial, password, bmc, esxi)
		if k.dynamic || k.ranges {
			b.WriteString(k.several(g, hosts))
			continue
		}
		for i := g; i < hosts; i += 3 {
			m := machineOf(i)
			if k.table != "" {
				fmt.Fprintf(&b, "  host %q {}\n", m.name)
				continue
			}
			fmt.Fprintf(&b, "  host %q {\n    serial = %q\n    bmc { address = %q }\n    esxi {\n      address = %q\n      nic     = %q\n    }\n  }\n", m.name, m.serial, m.bmc, m.address, m.nic)
		}
		b.WriteString("}\n")
	}
	b.WriteString(steps)
	return b.String()
}

// several is the block that makes the hosts of a group.
func (k kind) several(group, hosts int) string {
	if k.dynamic {
		return fmt.Sprintf(dynamic, k.table, group)
	}
	n := (hosts - group + 2) / 3
	if n == 0 {
		return "}\n"
	}
	return fmt.Sprintf(counted, group, n)
}

// dynamic takes a table and the number of a group, which gets every third row.
const dynamic = `  dynamic "host" {
    for_each = [for i, m in %s : m if i %% 3 == %d]
    iterator = row
    labels   = [row.value.name]
    content {
      serial = row.value.serial
      bmc { address = row.value.bmc }
      esxi {
        address = row.value.address
        nic     = row.value.nic
      }
    }
  }
}
`

// counted takes the number of a group, and how many hosts it has.
const counted = `  host "h%d-[1:%d]" {
    serial = "SN-${host.name}"
    bmc { address = cidrhost("10.8.0.0/16", host.index + 10000 * %[1]d) }
    esxi {
      address = cidrhost("10.9.0.0/16", 10 + host.index + 10000 * %[1]d)
      nic     = format("02:00:00:%%02X:%%02X:%%02X", %[1]d, floor(host.index / 256), host.index %% 256)
    }
  }
}
`

const before = `plan "bench" {}
image "esxi" {
  source = "ESXi-8.0U3-24022510.iso"
}
media {
  directory = "media"
  url       = "http://203.0.113.1/iso"
}
variable "root_password" {
  default   = "Bench-password-1x"
  sensitive = true
}
`

// group takes the vendor's name, the password of the BMCs, and further lines of arguments
// for the group, its bmc block and its esxi block.
const group = `group %q {
  vendor = %[1]q
%s  bmc {
    username = "root"
    password = %s
    tls      = { verify = false }
%s  }
  esxi {
    netmask       = "255.255.0.0"
    gateway       = "10.9.0.1"
    nameservers   = ["10.9.0.2", "10.9.0.3"]
    disk          = { model = "MTFDKBA480TFR" }
    root_password = var.root_password
    current       = { username = "root", password = var.root_password }
%s  }
`

const steps = `step "precheck" "login" {}
step "build_iso" "installer" { image = image.esxi }
step "eject" "leftovers" {}
step "insert" "cd" { image = step.installer.url }
step "one_time_boot" "cd_once" { target = "cd" }
step "power" "restart" { action = "restart" }
step "wait" "installed" {
  retries = 60
  delay   = "60s"
}
`
