package bmc

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"esxiplan/engine/text"
)

// Link is where a BMC says that something is: a link to a resource, the target of an action,
// the next page, the Location of an answer. It is as the BMC wrote it, and not checked.
// Requests go to a [path], which only an [origin] makes of it.
type Link string

// UnmarshalJSON implements json.Unmarshaler: a link is an object with one, or a text.
// Anything else is no link: BMCs write it if they have none.
func (l *Link) UnmarshalJSON(raw []byte) error {
	*l = ""
	var given string
	if len(raw) > 0 && raw[0] == '"' {
		json.Unmarshal(raw, &given)
		*l = Link(given)
		return nil
	}
	var object struct {
		ID   json.RawMessage `json:"@odata.id"`
		Href json.RawMessage `json:"href"` // spelled so by old firmware
	}
	if json.Unmarshal(raw, &object) != nil {
		return nil
	}
	if json.Unmarshal(object.ID, &given) != nil || given == "" {
		json.Unmarshal(object.Href, &given)
	}
	*l = Link(given)
	return nil
}

// RawText keeps a link as it came, see [text.Raw]: it is checked where it is used.
func (Link) RawText() {}

// Last is the last part of a link, which often is the id of what it leads to.
func (l Link) Last() string {
	whole := string(l.bare())
	return whole[strings.LastIndexByte(whole, '/')+1:]
}

// Join is a place below a link, for what a BMC has and does not link to.
func (l Link) Join(below string) Link { return l.bare() + "/" + Link(below) }

// bare is a link without the slash at its end, which the same BMC writes or leaves out.
func (l Link) bare() Link { return Link(strings.TrimSuffix(string(l), "/")) }

// same reports that two links are one place.
func (l Link) same(other Link) bool { return l.bare() == other.bare() }

// shown is a link for people.
func (l Link) shown() string { return text.Short(string(l), 200) }

// ErrLink is a link of a BMC that is not followed. Nothing was sent. It is final.
type ErrLink struct {
	Link Link
	Why  string // "leads to another place than the BMC"
}

func (e *ErrLink) Error() string {
	return fmt.Sprintf("the BMC gives the link %q, which %s, so no request was made of it. Check that this is the BMC's address; if it is, update the BMC's firmware, or report this with --trace", e.Link.shown(), e.Why)
}

// path is a place on the BMC, as a request names it: with a slash at its start, of printable
// ASCII, checked.
type path struct{ text string }

// origin is the one place to which requests to a BMC go.
type origin struct{ scheme, host string }

// originOf is the origin of the URL of a BMC.
func originOf(address string) (origin, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || address != u.Scheme+"://"+u.Host {
		return origin{}, fmt.Errorf("%q is not the URL of a BMC, such as https://10.0.0.1", address)
	}
	return origin{u.Scheme, withPort(u.Scheme, u.Host)}, nil
}

// withPort writes a host in the form in which hosts are compared.
func withPort(scheme, host string) string {
	host = strings.ToLower(host)
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return host + map[string]string{"http": ":80", "https": ":443"}[scheme]
}

// has reports whether a URL is one of this origin, and without a user.
func (o origin) has(u *url.URL) bool {
	return u.User == nil && u.Opaque == "" && u.Scheme == o.scheme && withPort(u.Scheme, u.Host) == o.host
}

// mostOfLink bounds a link; the longest of a machine that was recorded has 230 characters.
const mostOfLink = 2000

// path checks a link of the BMC. One that names an origin must name this one.
func (o origin) path(l Link) (path, error) {
	rest := string(l)
	if scheme, host, at, ok := absolute(rest); ok {
		if scheme != o.scheme || withPort(scheme, host) != o.host {
			return path{}, &ErrLink{l, "leads to another place than the BMC"}
		}
		rest = at
	}
	return checked(l, rest)
}

// located checks a Location. Services write their own name or address into it, which
// may differ from the one by which they are reached, so only its path counts.
func (o origin) located(l Link) (path, error) {
	rest := string(l)
	if _, host, at, ok := absolute(rest); ok {
		if host == "" || strings.Contains(host, "@") {
			return path{}, &ErrLink{l, "names a user or no host"}
		}
		rest = at
	}
	return checked(l, rest)
}

// absolute takes a link apart that begins with scheme and host; rest is its path.
func absolute(link string) (scheme, host, rest string, ok bool) {
	scheme, rest, ok = strings.Cut(link, "://")
	scheme = strings.ToLower(scheme)
	if !ok || scheme != "https" && scheme != "http" {
		return "", "", link, false
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	host, rest = rest[:end], rest[end:]
	if !strings.HasPrefix(rest, "/") {
		rest = "/" + rest
	}
	return scheme, host, rest, true
}

// checked makes a path of the part of a link that follows scheme and host. The part after
// "#" names something inside of the document.
func checked(l Link, rest string) (path, error) {
	rest, _, _ = strings.Cut(rest, "#")
	at, query, asks := strings.Cut(rest, "?")
	decoded, err := url.PathUnescape(at)
	switch {
	case len(l) > mostOfLink:
		return path{}, &ErrLink{l, fmt.Sprintf("is longer than %d characters", mostOfLink)}
	case strings.ContainsFunc(string(l), odd):
		return path{}, &ErrLink{l, "has characters that a link cannot have"}
	case !strings.HasPrefix(at, "/") || strings.HasPrefix(at, "//"):
		return path{}, &ErrLink{l, "is no path on the BMC"}
	case err != nil, strings.ContainsFunc(decoded, odd), strings.Count(decoded, "/") != strings.Count(at, "/"):
		return path{}, &ErrLink{l, "hides characters behind percent signs"}
	case slices.ContainsFunc(strings.Split(decoded, "/"), func(s string) bool { return s == "." || s == ".." }):
		return path{}, &ErrLink{l, "contains the path segment . or .."}
	}
	out := (&url.URL{Path: decoded, RawPath: at}).EscapedPath()
	if asks && query != "" {
		out += "?" + strings.ReplaceAll(query, " ", "%20")
	}
	return path{out}, nil
}

// odd reports what no link contains: control characters, non-ASCII characters, and the
// backslash, which some software takes for a slash.
func odd(r rune) bool { return r < ' ' || r > '~' || r == '\\' }
