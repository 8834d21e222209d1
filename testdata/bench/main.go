// Command bench measures what a run costs: esxiplan run in one process against
// esxiplan sim in another, 300 hosts, seven steps, no latency. It prints wall time,
// CPU time and peak memory of the run's process, whole and per host.
//
// Memory per host is the difference to a run of one host, divided by the others.
// The wait step looks once a simulated minute, so that what is measured is the
// work and not the polling of a clock that runs hundreds of times too fast; images
// are published to a folder, so that it is not the work of a web server either.
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
	hosts := flag.Int("hosts", 300, "hosts")
	speed := flag.Int("speed", 100, "how much faster than real time the machines run")
	flag.Parse()
	if err := bench(*esxiplan, *hosts, *speed); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type cost struct {
	wall, cpu time.Duration
	peak      int64 // bytes
}

func bench(esxiplan string, hosts, speed int) error {
	binary, err := filepath.Abs(esxiplan)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "esxiplan-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	one, err := measure(binary, dir, 1, speed)
	if err != nil {
		return err
	}
	all, err := measure(binary, dir, hosts, speed)
	if err != nil {
		return err
	}
	fmt.Printf("run, 1 host:      wall %s, CPU %s, peak %.1f MB\n", one.wall.Round(time.Millisecond), one.cpu.Round(time.Millisecond), float64(one.peak)/1e6)
	fmt.Printf("run, %d hosts:   wall %s, CPU %s, peak %.1f MB\n", hosts, all.wall.Round(time.Millisecond), all.cpu.Round(time.Millisecond), float64(all.peak)/1e6)
	fmt.Printf("per host:         CPU %.2f ms (aim 8), memory %.0f KB (aim 100)\n",
		float64((all.cpu-one.cpu).Microseconds())/1000/float64(hosts-1), float64(all.peak-one.peak)/1000/float64(hosts-1))
	return nil
}

func measure(binary, dir string, hosts, speed int) (cost, error) {
	plan := filepath.Join(dir, fmt.Sprintf("bench%d.hcl", hosts))
	if err := os.WriteFile(plan, []byte(planFor(hosts)), 0o600); err != nil {
		return cost{}, err
	}
	file := plan + ".sim.json"
	sim := exec.Command(binary, "sim", plan, "--out", file, "--speed", fmt.Sprint(speed))
	if err := sim.Start(); err != nil {
		return cost{}, err
	}
	defer func() {
		sim.Process.Signal(syscall.SIGTERM)
		sim.Wait()
	}()
	for n := 0; ; n++ {
		if _, err := os.Stat(file); err == nil {
			break
		}
		if n > 600 {
			return cost{}, fmt.Errorf("esxiplan sim does not start")
		}
		time.Sleep(50 * time.Millisecond)
	}
	run := exec.Command(binary, "run", plan, "--sim", file, "--yes", "--state", filepath.Join(dir, fmt.Sprint(hosts)))
	began := time.Now()
	out, err := run.Output()
	if err != nil {
		return cost{}, fmt.Errorf("run: %w\n%s", err, out)
	}
	if want := fmt.Sprintf("%d proven installed", hosts); !strings.Contains(string(out), want) {
		return cost{}, fmt.Errorf("not all hosts were installed:\n%s", out)
	}
	usage := run.ProcessState.SysUsage().(*syscall.Rusage)
	return cost{time.Since(began), run.ProcessState.UserTime() + run.ProcessState.SystemTime(), usage.Maxrss * 1024}, nil
}

func planFor(hosts int) string {
	var b strings.Builder
	b.WriteString("plan \"bench\" {}\nimage \"esxi\" {\n  source = \"ESXi-8.0U3-24022510.iso\"\n}\nmedia {\n  directory = \"media\"\n  url       = \"http://203.0.113.1/iso\"\n}\n")
	for g, vendor := range []string{"dell", "hpe", "lenovo"} {
		fmt.Fprintf(&b, "group %q {\n  vendor = %[1]q\n  bmc {\n    username = \"root\"\n    password = \"calvin-bench\"\n    tls      = { verify = false }\n  }\n  esxi {\n    netmask       = \"255.255.0.0\"\n    gateway       = \"10.9.0.1\"\n    disk          = { model = \"MTFDKBA480TFR\" }\n    root_password = \"Bench-password-1x\"\n    current       = { username = \"root\", password = \"Bench-password-1x\" }\n  }\n", vendor)
		for i := g; i < hosts; i += 3 {
			fmt.Fprintf(&b, "  host \"h%04d\" {\n    bmc { address = \"10.8.%d.%d\" }\n    esxi { address = \"10.9.%[2]d.%[3]d\" }\n  }\n", i, 1+i/200, 2+i%200)
		}
		b.WriteString("}\n")
	}
	b.WriteString(`step "precheck" "login" {}
step "build_iso" "installer" { image = image.esxi }
step "eject" "leftovers" {}
step "insert" "cd" { image = step.installer.url }
step "one_time_boot" "cd_once" { target = "cd" }
step "power" "restart" { action = "restart" }
step "wait" "installed" {
  retries = 60
  delay   = "60s"
}
`)
	return b.String()
}
