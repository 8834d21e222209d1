package all_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"esxiplan/engine/bmc/bmcsim"
	"esxiplan/engine/bmc/vendors"
	"esxiplan/schema"
	"esxiplan/steps/steptest"
)

// TestCrowds: BMCs that take one request at a time, drop one of four connections, answer out
// of order, or have room for one session, come to the same changes as others.
func TestCrowds(t *testing.T) {
	t.Parallel()
	const delay = 15 * time.Millisecond // an answer takes longer than a handshake
	met := make(chan int, 100)
	faults := map[string]bmcsim.Fault{
		"one at a time": {Kind: "alone", Delay: delay}, "one of four dropped": {Kind: "fourth", Delay: delay},
		"out of order": {Kind: "shuffle", Delay: delay}, "slow": {Kind: "ignore", Action: "nothing", Delay: delay},
	}
	t.Run("profiles", func(t *testing.T) {
		for _, name := range []string{"dell/idrac9", "hpe/ilo6", "lenovo/xcc2", "supermicro/x11", "redfish/standard"} {
			p, err := bmcsim.Find(name)
			if err != nil {
				t.Fatal(err)
			}
			p.SessionLimit = 1
			want := writesOf(t, p, met)
			for kind, f := range faults {
				t.Run(name+"/"+kind, func(t *testing.T) {
					t.Parallel()
					if got := writesOf(t, p, met, f); !slices.Equal(got, want) {
						t.Errorf("the machine was told\n%s\nelse\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
					}
				})
			}
		}
	})
	close(met)
	most := 0
	for n := range met {
		most = max(most, n)
	}
	if most != 4 {
		t.Errorf("%d requests were under way at the same time, at most", most)
	}
}

// writesOf installs a machine and lists what it was told, in order.
func writesOf(t *testing.T, p bmcsim.Profile, met chan<- int, faults ...bmcsim.Fault) (out []string) {
	b := steptest.NewFaultyBench(t, p, true, faults...)
	serial := "S1"
	b.ESXi = &schema.ESXi{Disk: &schema.Disk{Serial: &serial}}
	b.Sim.Mount("http://192.0.2.7/left.iso")
	if _, err := b.Flow(t, vendors.All(), flow(image(p))...); err != nil {
		t.Error(err)
	}
	for _, q := range b.Sim.Writes() {
		out = append(out, q.Method+" "+q.Path)
	}
	if opened, closed := b.Sim.Sessions(); opened != 1 || closed != 1 {
		t.Errorf("%d sessions opened, %d closed", opened, closed)
	}
	met <- b.Sim.Most()
	return out
}
