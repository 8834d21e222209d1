package schema

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// Address is where a BMC answers: a name or an IP address, with a port where it is not
// the usual one, and https unless http:// is written before it. It is parsed once, when
// the plan is loaded; each of its forms has a method of that name.
// The zero value is no address.
type Address struct {
	text   string // as written
	scheme string // "https" or "http"
	host   string // lower case; an IPv6 address in its shortest form, without brackets
	port   string // decimal
}

// longestName leaves room for a port where a name of up to 253 characters becomes the
// name of a file, which has at most 255.
const longestName = 240

var (
	bmcNamePattern  = regexp.MustCompile(`^([A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?\.)*[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?\.?$`)
	lastPartNumeric = regexp.MustCompile(`(^|\.)[0-9]+\.?$`)
)

// usualPorts are those on which a BMC answers by default.
var usualPorts = map[string]string{"https": "443", "http": "80"}

// What is wrong with an address, and how to write it.
const (
	addressForm    = "write a name or an IP address, with a port where it is not 443, or http:// before it"
	addressLogin   = "leave out user and password, which have arguments of their own"
	addressScheme  = "only http:// and https:// may be written before it"
	addressPath    = "leave out what follows the host and the port"
	addressZone    = "leave out the zone after %, which has a meaning on one machine only"
	addressPort    = "a port is a number from 1 to 65535"
	addressBracket = "write an IPv6 address in brackets after http:// or https://, because its end could be meant as a port"
)

// ParseAddress reads the address of a BMC. The error never shows a password that was
// written into the address.
func ParseAddress(text string) (Address, error) {
	a := Address{text: text, scheme: "https"}
	rest := text
	if scheme, after, given := strings.Cut(text, "://"); given {
		a.scheme, rest = strings.ToLower(scheme), after
	}
	if why := a.parse(strings.TrimSuffix(rest, "/"), rest != text); why != "" {
		return Address{}, fmt.Errorf("%q is not the address of a BMC: %s", withoutLogin(text), why)
	}
	return a, nil
}

// withoutLogin hides what comes before the host: it may hold a password.
func withoutLogin(text string) string {
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		return "…" + text[at:]
	}
	return text
}

// parse reads host and port, and says why that cannot be done.
func (a *Address) parse(rest string, isURL bool) (why string) {
	usual, known := usualPorts[a.scheme]
	switch ip, err := netip.ParseAddr(rest); {
	case strings.Contains(a.text, "@"):
		return addressLogin
	case !known:
		return addressScheme
	case strings.ContainsAny(rest, `/\?#`):
		return addressPath
	case err == nil && ip.Is6() && isURL:
		return addressBracket
	case err == nil:
		a.port = usual
		return a.takeIP(ip)
	}
	host, port, given := cutPort(rest)
	if a.port = usual; given {
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil || number == 0 {
			return addressPort
		}
		a.port = strconv.FormatUint(number, 10)
	}
	return a.takeHost(host)
}

// cutPort cuts at the colon before the port: behind the bracket of an IPv6 address, or
// the only one.
func cutPort(text string) (host, port string, given bool) {
	if host, port, given = strings.Cut(text, "]:"); given {
		return host + "]", port, true
	}
	if strings.Count(text, ":") != 1 {
		return text, "", false
	}
	return strings.Cut(text, ":")
}

func (a *Address) takeHost(host string) (why string) {
	inside, opened := strings.CutPrefix(host, "[")
	inside, closed := strings.CutSuffix(inside, "]")
	ip, err := netip.ParseAddr(inside)
	switch {
	case opened != closed, opened && (err != nil || !ip.Is6()):
		return addressForm
	case err == nil:
		return a.takeIP(ip)
	}
	a.host = strings.ToLower(host)
	// A name cannot end in a number: it is a misspelled IPv4 address, which some resolvers
	// complete ("10.1" is 10.0.0.1 to them).
	if len(host) > longestName || !bmcNamePattern.MatchString(host) || lastPartNumeric.MatchString(host) {
		return addressForm
	}
	return ""
}

func (a *Address) takeIP(ip netip.Addr) (why string) {
	if ip.Zone() != "" {
		return addressZone
	}
	a.host = ip.Unmap().String()
	return ""
}

// String is the address as the plan writes it.
func (a Address) String() string { return a.text }

// Host is the name or the IP address alone, an IPv6 address without brackets.
func (a Address) Host() string { return a.host }

// HostPort is what to dial.
func (a Address) HostPort() string { return net.JoinHostPort(a.host, a.port) }

// URL is the root of the BMC's web service, without the port where it is the usual one
// and without a slash at its end.
func (a Address) URL() string {
	authority := a.HostPort()
	if a.port == usualPorts[a.scheme] {
		authority = strings.TrimSuffix(authority, ":"+a.port)
	}
	return a.scheme + "://" + authority
}

// Key names the BMC in the files of the state folder and in the logs, the same for
// all spellings of its address.
//
// http:// on port 80 and https:// on port 443 are two services of one BMC, so that
// locks and history must not distinguish them: neither scheme nor these ports are in the
// key. Another port is: behind a forwarding address, or on the machine that simulates
// them, each port is another BMC. A name and its IP address have different
// keys: the address of a name changes.
//
// Earlier versions gave a plain name and a port the key that they have here. The
// drawback: the name "bmc_8443" shares its key with port 8443 of "bmc", so that a plan with
// both is refused.
func (a Address) Key() string {
	host := strings.TrimSuffix(a.host, ".")
	if a.port != usualPorts["https"] && a.port != usualPorts["http"] {
		host = net.JoinHostPort(host, a.port)
	}
	return strings.ReplaceAll(host, ":", "_")
}

// MarshalText writes the address as it was written.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.text), nil }

// UnmarshalText reads what ParseAddress does. The default of an argument that was left
// out stays the zero value.
func (a *Address) UnmarshalText(b []byte) (err error) {
	if string(b) == "-" {
		return nil
	}
	*a, err = ParseAddress(string(b))
	return err
}
