package kickstart

import (
	"slices"
	"strings"
	"testing"
)

// TestDifferences: a person reads what differs, option by option; no secret of either
// script, and no script text of the medium.
func TestDifferences(t *testing.T) {
	base := func(change func(*Script)) string {
		s := script()
		s.Network = Network{Address: "10.9.0.11", Netmask: "255.255.255.0", Gateway: "10.9.0.1", Hostname: "h"}
		s.Disk = Disk{"name", "naa.5000cca291e10521"}
		s.Post = "echo a\necho secret-1\n"
		if change != nil {
			change(&s)
		}
		return Hide(render(t, s))
	}
	for name, c := range map[string]struct {
		change func(*Script)
		want   []string
	}{
		"nothing":  {nil, nil},
		"gateway":  {func(s *Script) { s.Network.Gateway = "10.9.0.254" }, []string{"network --gateway: 10.9.0.1 on the medium, 10.9.0.254 in the plan"}},
		"vlan":     {func(s *Script) { s.Network.VLAN = 12 }, []string{"network --vlanid: not given on the medium, 12 in the plan"}},
		"dhcp":     {func(s *Script) { s.Network.DHCP = true }, []string{"network --bootproto: static on the medium, dhcp in the plan", "network --ip: 10.9.0.11 on the medium, not given in the plan", "network --netmask: 255.255.255.0 on the medium, not given in the plan", "network --gateway: 10.9.0.1 on the medium, not given in the plan", "network --hostname: h on the medium, not given in the plan"}},
		"disk":     {func(s *Script) { s.Disk.Text = "naa.5000cca291e10522" }, []string{"install --disk: naa.5000cca291e10521 on the medium, naa.5000cca291e10522 in the plan"}},
		"flag":     {func(s *Script) { s.VSAN = true }, []string{"install --overwritevsan: not given on the medium, set in the plan"}},
		"keyboard": {func(s *Script) { s.Keyboard = "Swiss German" }, []string{`the command "keyboard 'Swiss German'" is only in the plan`}},
		"command":  {func(s *Script) { s.Commands = []string{"part data --ondisk=naa.5000cca291e10529"} }, []string{`the command "part data --ondisk=naa.5000cca291e10529" is only in the plan`}},
		"post":     {func(s *Script) { s.Post = "echo a\necho b\n" }, []string{`%post script: from line 2 on, which is "echo b" in the plan`}},
		"shorter":  {func(s *Script) { s.Post = "echo a\n" }, []string{`%post script: the plan's ends before line 2`}},
		"python":   {func(s *Script) { s.Post = "" }, []string{"%post script: only on the medium"}},
	} {
		t.Run(name, func(t *testing.T) {
			if have := Differences(base(nil), base(c.change)); !slices.Equal(have, c.want) {
				t.Errorf("got  %q\nwant %q", have, c.want)
			}
		})
	}
}

// TestDifferentDisks: where a script finds the disk, what it looks for is compared, not
// its text.
func TestDifferentDisks(t *testing.T) {
	a, b := script(), script()
	a.Disk, b.Disk = Disk{"model", "DELLBOSS VD"}, Disk{"serial", "S1"}
	want := []string{"disks: install on model = DELLBOSS VD on the medium, install on serial = S1 in the plan"}
	if have := Differences(render(t, a), render(t, b)); !slices.Equal(have, want) {
		t.Errorf("got %q", have)
	}
	b = a
	b.Pre = "true"
	if have := Differences(render(t, a), render(t, b)); !slices.Equal(have, []string{"%pre script: only in the plan"}) {
		t.Errorf("a script before it: got %q", have)
	}
}

// TestSecretDigests: another password shows, without being kept.
func TestSecretDigests(t *testing.T) {
	a, b := full(), full()
	b.RootHash = strings.Replace(b.RootHash, b.RootHash[len(b.RootHash)-4:], "abcd", 1)
	x, y := SecretDigests(render(t, a), "k"), SecretDigests(render(t, b), "k")
	if x["root password"] == "" || x["root password"] == y["root password"] || x["license key"] == "" || x["license key"] != y["license key"] {
		t.Errorf("%v\n%v", x, y)
	}
	for _, digest := range x {
		if strings.Contains(render(t, a), digest) || len(digest) != 64 {
			t.Errorf("%q is no digest", digest)
		}
	}
}
