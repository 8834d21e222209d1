// Command bench measures what a run costs: esxiplan run in one process against
// esxiplan sim in another, seven steps, no latency, fleets of 50, 300 and 1,000 hosts.
// It prints wall time, CPU time and peak memory of the run's process, whole and per host,
// and how many times as much CPU a host needs in the most expensive size as in the cheapest.
//
// What a host needs is the difference to a run of one host, divided by the others.
// The wait step looks at simulated intervals, so that the machines must not run too fast,
// or what is measured is the polling of a clock; and both processes share the cores, so that
// large fleets time out where machines are faster than the run. Images are published to a
// folder, so that it is not the work of a web server either.
//
// Usage: go run ./testdata/bench [-hosts 50,300,1000] [-speed 0]
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"esxiplan/testdata/bench/fleet"
)

func main() {
	esxiplan := flag.String("esxiplan", "bin/esxiplan", "the binary")
	hosts := flag.String("hosts", "50,300,1000", "sizes of the fleets, each more than 1")
	speed := flag.Int("speed", 0, "how much faster than real time the machines run; 0 chooses by size")
	flag.Parse()
	sizes, err := sizesOf(*hosts)
	if err == nil {
		err = bench(*esxiplan, sizes, *speed)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func sizesOf(list string) (sizes []int, err error) {
	for field := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || n < 2 {
			return nil, fmt.Errorf("-hosts %s: %q is not a number of hosts above 1, which is what is compared with. Give a list such as 50,300", list, field)
		}
		sizes = append(sizes, n)
	}
	return sizes, nil
}

type cost struct {
	wall, cpu time.Duration
	peak      int64 // bytes
}

// perHost is the CPU time in milliseconds and the memory in KB of one host more.
func (c cost) perHost(one cost, hosts int) (cpu, memory float64) {
	more := float64(hosts - 1)
	return float64((c.cpu - one.cpu).Microseconds()) / 1000 / more, float64(c.peak-one.peak) / 1000 / more
}

func (c cost) String() string {
	return fmt.Sprintf("wall %6.1f s, CPU %6.2f s, peak %6.1f MB", c.wall.Seconds(), c.cpu.Seconds(), float64(c.peak)/1e6)
}

func bench(esxiplan string, sizes []int, speed int) error {
	binary, err := filepath.Abs(esxiplan)
	if err != nil {
		return err
	}
	one, err := measure(binary, 1, speed)
	if err != nil {
		return err
	}
	fmt.Printf("run, %5d host:  %s\n", 1, one)
	var least, most float64
	for _, hosts := range sizes {
		c, err := measure(binary, hosts, speed)
		if err != nil {
			return fmt.Errorf("%d hosts: %w", hosts, err)
		}
		cpu, memory := c.perHost(one, hosts)
		fmt.Printf("run, %5d hosts: %s; per host CPU %.1f ms (aim 20), memory %.0f KB (aim 150)\n", hosts, c, cpu, memory)
		if least == 0 || cpu < least {
			least = cpu
		}
		most = max(most, cpu)
	}
	fmt.Printf("CPU per host, most to least: %.2f (aim 1.3)\n", most/least)
	return nil
}

// speedFor is how much faster than real time so many machines can run on two cores without
// a host that times out.
func speedFor(hosts int) int { return max(20, min(50, 15000/hosts)) }

func measure(binary string, hosts, speed int) (cost, error) {
	f, err := fleet.New(binary, hosts, fleet.Folder)
	if err != nil {
		return cost{}, err
	}
	defer f.Remove()
	if speed == 0 {
		speed = speedFor(hosts)
	}
	if err := f.Start("--speed", fmt.Sprint(speed)); err != nil {
		return cost{}, err
	}
	c, err := run(f)
	if _, stopped := f.Stop(); err == nil {
		err = stopped
	}
	return c, err
}

func run(f *fleet.Fleet) (cost, error) {
	run := f.Command("run", "site.hcl", "--sim", "sim.json", "--yes")
	began := time.Now()
	out, err := run.Output()
	if err != nil {
		return cost{}, fmt.Errorf("run: %w\n%s", err, out)
	}
	if want := fmt.Sprintf("%d proven installed", f.Hosts); !strings.Contains(string(out), want) {
		return cost{}, fmt.Errorf("not all hosts were installed:\n%s", out)
	}
	usage := run.ProcessState.SysUsage().(*syscall.Rusage)
	return cost{time.Since(began), run.ProcessState.UserTime() + run.ProcessState.SystemTime(), usage.Maxrss * 1024}, nil
}
