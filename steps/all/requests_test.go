package all_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/bmc/bmcsim"
	"esxiplan/engine/bmc/vendors"
	"esxiplan/schema"
	"esxiplan/steps/steptest"
)

var (
	update = flag.Bool("update", false, "write the list of requests anew")
	show   = flag.String("show", "", "profile whose requests are shown")
)

// mostRequests of a whole installation up to the restart, without polls and without
// the members that $expand cannot bring. One firmware refuses On for a while after an off;
// the guards before it is asked for again are two of them.
const mostRequests = 26

// memberPath are drives, volumes, slots and ports, one by one; MountImages is what
// one old firmware has instead of slots.
var memberPath = regexp.MustCompile(`/MountImages$|/(VirtualMedia|VM1|Drives|Volumes|EthernetInterfaces|LogicalDrives|DiskDrives|PhysicalDrives|ArrayControllers|Storage|DellLicenses)/[^/]+/?$`)

// count sorts the requests of a flow. A poll is a GET that repeats another one without a
// write between them, a look at a task, or a reset that the BMC does not take yet.
func count(requests []bmcsim.Request) (needed, members, polls int) {
	asked := map[string]bool{} // since the last write
	for _, q := range requests {
		if q.Method != "GET" && q.Status != 409 {
			clear(asked)
		}
		switch {
		case asked[q.Path], strings.Contains(q.Path, "/Tasks/"), q.Status == 409:
			polls++
		case q.Method == "GET" && memberPath.MatchString(q.Path):
			members++
		default:
			needed++
		}
		asked[q.Path] = q.Method == "GET"
	}
	return needed, members, polls
}

// TestRequests lists what a healthy machine is asked from precheck to restart, per
// profile: one session (none where there are none), at most four connections, and not more requests than needed.
func TestRequests(t *testing.T) {
	var list strings.Builder
	list.WriteString("Members are drives, volumes, slots and ports read one by one; also storage units, licenses, and what\nold firmware has in their place. Polls are left out.\n\n")
	list.WriteString("profile              needed members sessions\n")
	for _, p := range bmcsim.Profiles() {
		b := steptest.NewFaultyBench(t, p, true)
		serial := "S1"
		b.ESXi = &schema.ESXi{Disk: &schema.Disk{Serial: &serial}}
		b.Sim.Prepare()
		if _, err := b.Flow(t, vendors.All(), flow(image(p))...); err != nil {
			t.Fatal(err)
		}
		requests := b.Sim.Requests()
		if *show == p.Name {
			for _, q := range requests {
				t.Logf("%s %s %d", q.Method, q.Path, q.Status)
			}
		}
		needed, members, _ := count(requests)
		sessions, _ := b.Sim.Sessions()
		fmt.Fprintf(&list, "%-20s %6d %7d %8d\n", p.Name, needed, members, sessions)
		wanted := 1
		if p.BasicOnly {
			wanted = 0
		}
		if needed > mostRequests || sessions != wanted || b.Sim.Connections() > 4 {
			t.Errorf("%s: %d requests, %d sessions, %d connections", p.Name, needed, sessions, b.Sim.Connections())
		}
	}
	golden := filepath.Join("testdata", "requests.txt")
	if *update {
		os.MkdirAll("testdata", 0o755)
		if err := os.WriteFile(golden, []byte(list.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(golden); err != nil || string(want) != list.String() {
		t.Errorf("%v: %s lists other figures:\n%s", err, golden, list.String())
	}
}

// TestIdleConnections: a BMC that drops connections while a host waits between steps
// makes no failure and no doubled write, only new connections.
func TestIdleConnections(t *testing.T) {
	t.Parallel()
	p, err := bmcsim.Find("redfish/impatient")
	if err != nil {
		t.Fatal(err)
	}
	writes := func(pause func()) []string {
		b := steptest.NewFaultyBench(t, p, true)
		serial := "S1"
		b.ESXi = &schema.ESXi{Disk: &schema.Disk{Serial: &serial}}
		b.Sim.Mount("http://192.0.2.7/left.iso")
		stages := flow(image(p))
		for i := range stages {
			stages[i].After = pause
		}
		if _, err := b.Flow(t, vendors.All(), stages...); err != nil {
			t.Fatal(err)
		}
		if pause != nil && b.Sim.Connections() < 3 {
			t.Errorf("%d connections: none was dropped", b.Sim.Connections())
		}
		var out []string
		for _, q := range b.Sim.Writes() {
			out = append(out, q.Method+" "+q.Path)
		}
		return out
	}
	want := writes(nil)
	p.Idle = 200 * time.Millisecond // in the place of five seconds
	if got := writes(func() { time.Sleep(2 * p.Idle) }); !slices.Equal(got, want) {
		t.Errorf("with dropped connections\n%v\nelse\n%v", got, want)
	}
}
