package schema_test

import (
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"esxiplan/schema"
)

// addresses are BMCs, each with all its spellings. No spelling names two of them.
var addresses = map[string][]string{
	"10.0.0.1": {"10.0.0.1", "10.0.0.1/", "10.0.0.1:443", "10.0.0.1:0443", "https://10.0.0.1", "https://10.0.0.1/", "https://10.0.0.1:443", "HTTPS://10.0.0.1", "http://10.0.0.1", "http://10.0.0.1:80/", "10.0.0.1:80",
		"::ffff:10.0.0.1", "[::ffff:a00:1]:443"},
	"10.0.0.1_8443":    {"10.0.0.1:8443", "https://10.0.0.1:8443/", "http://10.0.0.1:8443"},
	"10.0.0.1_8000":    {"10.0.0.1:8000"},
	"10.0.0.11":        {"10.0.0.11"},
	"__1":              {"::1", "0:0::1", "[::1]", "[0:0:0:0:0:0:0:1]:443", "https://[0:0::1]/"},
	"fd00__a":          {"fd00::a", "FD00::A", "fd00:0:0::000a", "[fd00::a]", "[FD00::A]:443", "http://[fd00::a]"},
	"[fd00__a]_8443":   {"[fd00::a]:8443", "https://[FD00:0::A]:8443/"},
	"fd00__a_8443":     {"fd00::a:8443"}, // an address of its own, not a port
	"bmc.example":      {"bmc.example", "BMC.Example", "bmc.example.", "https://bmc.example./", "http://bmc.EXAMPLE:80", "bmc.example.:443"},
	"bmc.example_8443": {"bmc.example:8443", "https://BMC.example.:8443"},
	"idrac-7xq4t93":    {"idrac-7XQ4T93"},
	"rack_7":           {"rack_7", "https://rack_7"},
	"7xq4t93":          {"7XQ4T93"},
	"1.example":        {"1.example"},
}

// TestAddressKey: all spellings of a BMC have one key, and no other BMC has it.
func TestAddressKey(t *testing.T) {
	for want, spellings := range addresses {
		for _, text := range spellings {
			a, err := schema.ParseAddress(text)
			if err != nil || a.Key() != want {
				t.Errorf("%s: key %q, want %q (%v)", text, a.Key(), want, err)
			}
			if a.String() != text {
				t.Errorf("%s is shown as %s", text, a)
			}
		}
	}
}

func TestAddressForms(t *testing.T) {
	for text, want := range map[string]struct{ url, host, hostPort string }{
		"10.0.0.1":               {"https://10.0.0.1", "10.0.0.1", "10.0.0.1:443"},
		"https://10.0.0.1:443/":  {"https://10.0.0.1", "10.0.0.1", "10.0.0.1:443"},
		"10.0.0.1:80":            {"https://10.0.0.1:80", "10.0.0.1", "10.0.0.1:80"},
		"http://10.0.0.1":        {"http://10.0.0.1", "10.0.0.1", "10.0.0.1:80"},
		"http://10.0.0.1:443":    {"http://10.0.0.1:443", "10.0.0.1", "10.0.0.1:443"},
		"HTTP://10.0.0.1:08000/": {"http://10.0.0.1:8000", "10.0.0.1", "10.0.0.1:8000"},
		"BMC.Example":            {"https://bmc.example", "bmc.example", "bmc.example:443"},
		"bmc.example.":           {"https://bmc.example.", "bmc.example.", "bmc.example.:443"}, // the dot keeps the search list of the resolver out
		"FD00:0::A":              {"https://[fd00::a]", "fd00::a", "[fd00::a]:443"},
		"http://[0::1]:8080":     {"http://[::1]:8080", "::1", "[::1]:8080"},
		"::ffff:10.0.0.1":        {"https://10.0.0.1", "10.0.0.1", "10.0.0.1:443"},
	} {
		a, err := schema.ParseAddress(text)
		if err != nil || a.URL() != want.url || a.Host() != want.host || a.HostPort() != want.hostPort {
			t.Errorf("%s: %s %s %s, want %v (%v)", text, a.URL(), a.Host(), a.HostPort(), want, err)
		}
	}
}

func TestAddressErrors(t *testing.T) {
	const form = "write a name or an IP address, with a port where it is not 443, or http:// before it"
	for text, want := range map[string]string{
		"": form, "-": form, "a b": form, " 10.0.0.1": form, "bmc\n": form, "bmc..example": form, ".example": form, "..": form, ".": form, "-bmc": form, "bmc-.example": form, "bmc/../x": "leave out what follows",
		"10.0.0.256": form, "10.1": form, "010.0.0.1": form, "1": form, "10.0.0.1.": form, "bücher.example": form, "\u212aelvin": form, strings.Repeat("a", 241): form,
		"[10.0.0.1]": form, "[bmc]": form, "[::1": form, "::1]": form, "[]": form, "[::1]x": form, "[[::1]]": form, "1::2::3": form, ":443": form, "https://": form, "https:///": form,
		"10.0.0.1:": "a port is a number", "10.0.0.1:0": "a port is a number", "10.0.0.1:65536": "a port is a number", "10.0.0.1:+80": "a port is a number", "10.0.0.1:443:443": form, "[::1]:x": "a port is a number", "bmc:ssh": "a port is a number",
		"fe80::1%eth0": "leave out the zone", "[fe80::1%25eth0]:443": "leave out the zone", "::ffff:10.0.0.1%eth0": "leave out the zone",
		"https://fd00::a": "write an IPv6 address in brackets", "https://fd00::a:8443": "write an IPv6 address in brackets",
		"ftp://bmc": "only http:// and https://", "://bmc": "only http:// and https://",
		"https://bmc/redfish/v1": "leave out what follows", "bmc//": "leave out what follows", "https://bmc?x=1": "leave out what follows", "bmc#x": "leave out what follows", `bmc\x`: "leave out what follows",
		"root@bmc": "leave out user and password", "https://root:geheim@bmc": "leave out user and password", "https://root:ge@heim/@bmc": "leave out user and password",
	} {
		_, err := schema.ParseAddress(text)
		if err == nil || !strings.Contains(err.Error(), "is not the address of a BMC: "+want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "heim") {
			t.Errorf("%q: the password is shown: %v", text, err)
		}
	}
}

// FuzzAddress: what is accepted has one meaning in all its forms, and a key that can
// name a file.
func FuzzAddress(f *testing.F) {
	for _, spellings := range addresses {
		for _, text := range spellings {
			f.Add(text)
		}
	}
	for _, text := range []string{"", "..", "../x", "fe80::1%eth0", "https://root:x@bmc", "[::1]:0", "a b", "\x00", "10.0.0.256", "https://"} {
		f.Add(text)
	}
	safe := regexp.MustCompile(`^[a-z0-9_[][a-z0-9._\[\]-]{0,254}$`)
	f.Fuzz(func(t *testing.T, text string) {
		a, err := schema.ParseAddress(text)
		if err != nil {
			if a != (schema.Address{}) || !strings.Contains(err.Error(), "is not the address of a BMC: ") {
				t.Fatalf("%#v, %v", a, err)
			}
			return
		}
		if key := a.Key(); !safe.MatchString(key) || filepath.Base(key) != key {
			t.Errorf("the key %q cannot name a file", key)
		}
		if again, err := schema.ParseAddress(a.String()); err != nil || again != a {
			t.Errorf("parsed again it is %#v, %v", again, err)
		}
		if other, err := schema.ParseAddress(a.URL()); err != nil || other.URL() != a.URL() || other.Key() != a.Key() || other.HostPort() != a.HostPort() {
			t.Errorf("its URL %s is %#v, %v", a.URL(), other, err)
		}
		if other, err := schema.ParseAddress(a.HostPort()); err != nil || other.Key() != a.Key() || other.Host() != a.Host() {
			t.Errorf("its host and port %s are %#v, %v", a.HostPort(), other, err)
		}
		u, err := url.Parse(a.URL())
		if err != nil || u.Hostname() != a.Host() {
			t.Fatalf("the URL %s: %v", a.URL(), err)
		}
		if host, port, err := net.SplitHostPort(a.HostPort()); err != nil || host != a.Host() || u.Port() != "" && u.Port() != port {
			t.Errorf("dialled is %s, the URL is %s: %v", a.HostPort(), a.URL(), err)
		}
	})
}

// hostsWith is a plan of hosts with these bmc blocks.
func hostsWith(blocks ...string) string {
	var b strings.Builder
	b.WriteString("group \"g\" {\n bmc {\n  username = \"u\"\n  password = \"p\"\n }\n")
	for i, block := range blocks {
		b.WriteString(" host \"h" + string(rune('a'+i)) + "\" {\n  bmc {\n" + block + "\n  }\n }\n")
	}
	return b.String() + "}\n"
}

// TestHostsShareNoBMC, however its address is spelled.
func TestHostsShareNoBMC(t *testing.T) {
	for key, spellings := range addresses {
		for _, text := range spellings[1:] {
			if _, problems := load(t, hostsWith(`address = "`+spellings[0]+`"`, `address = "`+text+`"`), schema.Input{}); !strings.Contains(problems, "Two hosts share one BMC address") || !strings.Contains(problems, `"`+text+`"`) {
				t.Errorf("%s: %s and %s are two BMCs: %s", key, spellings[0], text, problems)
			}
		}
	}
	if _, problems := load(t, hostsWith(`address = "bmc_8443"`, `address = "bmc:8443"`), schema.Input{}); !strings.Contains(problems, "Two hosts share one BMC address") {
		t.Errorf("one key for two BMCs is not refused: %s", problems)
	}
	if _, problems := load(t, hostsWith(`address = "10.0.0.1"`, `address = "10.0.0.1:8443"`, `address = "10.0.0.11"`), schema.Input{}); problems != "" {
		t.Error(problems)
	}
}

// TestHostsShareNoSystem: a BMC may serve several systems, each to one host.
func TestHostsShareNoSystem(t *testing.T) {
	host := func(address, system string) string {
		return `address = "` + address + "\"\n" + `system = "` + system + `"`
	}
	one, two, again := host("10.0.0.1", "1"), host("https://10.0.0.1", "2"), host("10.0.0.1:443", "2")
	for _, c := range []struct {
		blocks []string
		want   string // "" is success
	}{
		{[]string{one, two}, ""}, {[]string{one, host("10.0.0.2", "1")}, ""},
		{[]string{two, again}, "Two hosts share one computer system: Host \"hb\" and host \"ha\""},
		{[]string{one, two, again}, "Two hosts share one computer system: Host \"hc\" and host \"hb\""},
		{[]string{one, two, `address = "10.0.0.1"`}, "Two hosts share one BMC address: Host \"hc\" and host \"ha\""},
		{[]string{`address = "10.0.0.1"`, two}, "Two hosts share one BMC address"},
	} {
		_, problems := load(t, hostsWith(c.blocks...), schema.Input{})
		if !strings.Contains(problems, c.want) || strings.Count(problems, "\n") != min(1, len(c.want)) {
			t.Errorf("%q: %q, want %q", c.blocks, problems, c.want)
		}
	}
}

// TestAddressInPlan: where it is missing, the host's name is it.
func TestAddressInPlan(t *testing.T) {
	p, problems := load(t, hostsWith("", `address = "https://BMC.example/"`), schema.Input{})
	if problems != "" {
		t.Fatal(problems)
	}
	if a := p.Hosts()[0].BMC.Address; a.URL() != "https://ha" {
		t.Errorf("%#v", a)
	}
	if a := p.Hosts()[1].BMC.Address; a.String() != "https://BMC.example/" || p.Hosts()[1].Value.GetAttr("bmc").GetAttr("address").AsString() != "https://BMC.example/" {
		t.Errorf("%#v", a)
	}
	for text, want := range map[string]string{
		hostsWith(`address = "https://root:geheim@bmc"`):                                                                 `address: "…@bmc" is not the address of a BMC: leave out user`,
		hostsWith(`address = "10.0.0.256"`):                                                                              `address: "10.0.0.256" is not the address of a BMC: write a name`,
		strings.Replace(hostsWith(""), `"ha"`, `"10.1"`, 1):                                                              `Host "10.1" has no bmc.address, so its name must be one, but "10.1" is not the address of a BMC`,
		strings.Replace(hostsWith(`address = null`), `"ha"`, `"a:b:c"`, 1):                                               `Host "a:b:c" has no bmc.address`,
		strings.Replace(hostsWith(`address = "10.0.0.1"`), `username = "u"`, `address = "x y"`+"\n"+`username = "u"`, 1): "",
	} {
		if _, problems := load(t, text, schema.Input{}); !strings.Contains(problems, want) || want == "" && problems != "" || strings.Contains(problems, "geheim") {
			t.Errorf("%s, want %q", problems, want)
		}
	}
}

func TestMachine(t *testing.T) {
	p, problems := load(t, hostsWith(`address = "https://10.0.0.1/"`, "address = \"10.0.0.2:8443\"\n system = \"2\""), schema.Input{})
	if problems != "" {
		t.Fatal(problems)
	}
	for i, want := range []string{"10.0.0.1", "10.0.0.2_8443 2"} {
		if got := p.Hosts()[i].Machine(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
