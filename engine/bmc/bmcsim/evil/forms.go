package evil

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Form is one way to do harm.
type Form struct {
	Name string
	// Fails names the commands that cannot do their work on such a BMC, of discover, status,
	// precheck and run; the others succeed, as if the BMC were honest.
	Fails []string
	Says  string // what those that fail must say, a regular expression
	// Unreachable: the failure is one of the connection.
	Unreachable bool
	// Slow: the test measures how long a client waits.
	Slow bool

	at    func(*http.Request) bool // which requests are spoiled; nil: all
	spoil func(*exchange)
}

// Which commands a form hits: all read the service root, the system and its manager; status
// reads no hardware; only a run writes.
var (
	every    = []string{"discover", "status", "precheck", "run"}
	hardware = []string{"discover", "precheck", "run"}
	runs     = []string{"run"}
	none     = []string{}
)

// Forms are all forms.
func Forms() []Form {
	var all []Form
	for _, some := range [][]Form{endless, bombs, shapes, redirects, links, locations, slow, wrong, texts, echoes} {
		all = append(all, some...)
	}
	return all
}

// at is the request for paths that match.
func at(pattern string) func(*http.Request) bool {
	expression := regexp.MustCompile(pattern)
	return func(r *http.Request) bool { return expression.MatchString(r.URL.Path) }
}

var (
	root    = at(`^/redfish/v1/?$`)
	system  = at(`/Systems/[^/]+/?$`)
	systems = at(`/Systems/?$`)
	slots   = at(`/VirtualMedia`)
	login   = func(r *http.Request) bool { return r.Method == http.MethodPost && at(`/Sessions/?$`)(r) }
	reads   = func(r *http.Request) bool { return r.Method == http.MethodGet }
)

var endless = []Form{
	{Name: "root without end", Fails: every, Says: "longer than 4 MiB", at: root, spoil: func(x *exchange) { x.pour(`{"Name":"`, strings.Repeat("x", 1<<16), 0) }},
	{Name: "system without end", Fails: every, Says: "longer than 4 MiB", at: system, spoil: func(x *exchange) { x.pour(`{"Model":"`, strings.Repeat("x", 1<<16), 0) }},
	{Name: "blanks without end", Fails: every, Says: "longer than 4 MiB", at: system, spoil: func(x *exchange) { x.pour("", strings.Repeat(" ", 1<<16), 0) }},
	{Name: "error without end", Fails: every, Says: "longer than 4 MiB", at: system, spoil: func(x *exchange) {
		x.status = http.StatusBadRequest
		x.pour(`{"error":{"message":"`, strings.Repeat("x", 1<<16), 0)
	}},
	{Name: "header without end", Fails: every, Says: "header", Unreachable: true, at: system, spoil: func(x *exchange) {
		x.raw("HTTP/1.1 200 OK\r\nX-Long: " + strings.Repeat("x", 8<<20))
	}},
	{Name: "headers without number", Fails: every, Says: "header", Unreachable: true, at: system, spoil: func(x *exchange) {
		x.raw("HTTP/1.1 200 OK\r\n" + strings.Repeat("X-Many: x\r\n", 1<<19))
	}},
	{Name: "interim answers without end", Fails: every, Says: "1xx|closed the connection|header", Unreachable: true, at: system, spoil: func(x *exchange) {
		x.raw(strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 1<<16))
	}},
	{Name: "pages without end", Fails: every, Says: "more than 1000", at: systems, spoil: func(x *exchange) {
		x.edit(func(doc any) {
			page, _ := doc.(map[string]any)
			page["Members@odata.nextLink"] = x.r.URL.Path + "?page=" + fmt.Sprint(time.Now().UnixNano())
		})
	}},
	{Name: "drives without end", Fails: hardware, Says: "links to more than 3000 documents|more than 100000 values", at: at("/Storage/[^/]+/?$"), spoil: func(x *exchange) {
		drives := strings.Builder{}
		for i := range 5000 {
			fmt.Fprintf(&drives, `{"@odata.id":"/redfish/v1/Drives/%d"},`, i)
		}
		x.say(`{"Id":"1","Drives":[` + drives.String() + `{}]}`)
	}},
	{Name: "a page that follows itself", Fails: none, at: systems, spoil: func(x *exchange) {
		x.edit(func(doc any) { doc.(map[string]any)["Members@odata.nextLink"] = x.r.URL.RequestURI() })
	}},
}

// bomb is a gigabyte of blanks in a megabyte: gzip allows several parts, one after the other.
func bomb() string {
	var part bytes.Buffer
	w := gzip.NewWriter(&part)
	w.Write(bytes.Repeat([]byte(" "), 1<<20))
	w.Close()
	return strings.Repeat(part.String(), 1<<10)
}

// packed is a bomb with or without its Content-Encoding.
func packed(how string) func(*exchange) {
	return func(x *exchange) {
		if how != "" {
			x.header.Set("Content-Encoding", how)
		}
		x.say(bomb())
	}
}

var bombs = []Form{
	{Name: "gzip", Fails: every, Says: `compressed \(gzip\)`, at: system, spoil: packed("gzip")},
	{Name: "gzip in the root", Fails: every, Says: `compressed \(gzip\)`, at: root, spoil: packed("gzip")},
	{Name: "gzip twice", Fails: every, Says: `compressed`, at: system, spoil: packed("gzip, gzip")},
	{Name: "deflate", Fails: every, Says: `compressed`, at: system, spoil: packed("deflate")},
	{Name: "gzip that is not said", Fails: every, Says: "not JSON", at: system, spoil: packed("")},
	{Name: "depth", Fails: every, Says: "nested deeper", at: system, spoil: func(x *exchange) { x.say(strings.Repeat(`{"Links":`, 300_000)) }},
	{Name: "depth in the root", Fails: every, Says: "nested deeper", at: root, spoil: func(x *exchange) { x.say(strings.Repeat("[", 3<<20)) }},
	{Name: "depth in an error", Fails: every, Says: "nested deeper", at: system, spoil: func(x *exchange) {
		x.status = http.StatusBadRequest
		x.say(`{"error":` + strings.Repeat("[", 1<<20))
	}},
	{Name: "values", Fails: every, Says: "more than 100000 values", at: systems, spoil: func(x *exchange) { x.say(`{"Members":[` + strings.Repeat("{},", 1<<20) + `{}]}`) }},
	{Name: "members", Fails: every, Says: "more than 1000", at: systems, spoil: func(x *exchange) {
		x.say(`{"Members":[` + strings.Repeat(`{"@odata.id":"/redfish/v1/Systems/1"},`, 40_000) + `{}]}`)
	}},
	{Name: "a long text", Fails: none, at: system, spoil: func(x *exchange) {
		x.edit(func(doc any) { doc.(map[string]any)["Model"] = strings.Repeat("x", 1<<20) })
	}},
	{Name: "a long number", Fails: none, at: system, spoil: func(x *exchange) {
		x.edit(func(doc any) { doc.(map[string]any)["Model"] = json.Number(strings.Repeat("9", 1<<18)) })
	}},
	{Name: "messages", Fails: every, Says: "answers 400", at: system, spoil: func(x *exchange) {
		x.status = http.StatusBadRequest
		x.say(`{"error":{"@Message.ExtendedInfo":[` + strings.Repeat(`{"MessageId":"`+strings.Repeat("A", 400)+`"},`, 8000) + `{}]}}`)
	}},
}

// instead answers with something other than the document.
func instead(body string) func(*exchange) { return func(x *exchange) { x.say(body) } }

var shapes = []Form{
	{Name: "an empty answer", Fails: every, Says: "the answer is empty", at: system, spoil: instead("")},
	{Name: "a web page", Fails: every, Says: "web page instead of Redfish", at: system, spoil: instead("<html><title>\x1b]0;x\x07</title>")},
	{Name: "half a document", Fails: every, Says: "not JSON", at: system, spoil: func(x *exchange) { x.say(x.body.String()[:x.body.Len()/2]) }},
	{Name: "null", Fails: every, Says: ".", at: root, spoil: instead("null")},
	{Name: "another type", Fails: every, Says: ".", at: root, spoil: instead(`[[{"Systems":[7]}]]`)},
}

// redirect answers with a redirect; %s stands for the attacker, %p for the path.
func redirect(status int, to string) func(*exchange) {
	return func(x *exchange) {
		x.status = status
		x.header.Set("Location", x.place(to))
		x.say("")
	}
}

// place fills in the attacker's address and the path that was asked for.
func (x *exchange) place(template string) string {
	return strings.NewReplacer("%s", x.evil.attacker, "%p", x.r.URL.Path, "%h", x.r.Host).Replace(template)
}

var redirects = []Form{
	{Name: "302 elsewhere", Fails: every, Says: "redirects to", at: system, spoil: redirect(302, "https://%s%p")},
	{Name: "307 elsewhere", Fails: every, Says: "redirects to", at: system, spoil: redirect(307, "https://%s%p")},
	{Name: "308 of the login elsewhere", Fails: none, at: login, spoil: redirect(308, "https://%s%p")},
	{Name: "307 of every write elsewhere", Fails: []string{"precheck", "run"}, Says: "redirects to", at: func(r *http.Request) bool { return !reads(r) && r.Method != http.MethodDelete }, spoil: redirect(307, "http://%s%p")},
	{Name: "redirect without a scheme", Fails: every, Says: "redirects to", at: system, spoil: redirect(302, "//%s%p")},
	{Name: "redirect by a user's name", Fails: every, Says: "redirects to", at: system, spoil: redirect(302, "https://%h@%s%p")},
	{Name: "redirect to plain text", Fails: every, Says: "redirects to", at: system, spoil: redirect(307, "http://%h%p")},
	{Name: "redirects in a circle", Fails: every, Says: "redirects to", at: system, spoil: redirect(307, "%p")},
	{Name: "redirect by control characters", Fails: every, Says: ".", at: system, spoil: func(x *exchange) {
		x.raw("HTTP/1.1 302 Found\r\nLocation: /\x9b31m\xff%0d%0ax\r\nContent-Length: 0\r\n\r\n")
	}},
}

// link makes every link or target under a name lead elsewhere.
func link(name, to string) func(*exchange) {
	return func(x *exchange) {
		x.edit(func(doc any) { walk(doc, func(o map[string]any) { turn(o[name], x.place(to)) }) })
	}
}

// turn sets a link, or each of a list.
func turn(v any, to string) {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range []string{"@odata.id", "target"} {
			if _, ok := v[key]; ok {
				v[key] = to
			}
		}
	case []any:
		for _, inner := range v {
			turn(inner, to)
		}
	}
}

const refused = "so no request was made of it"

var links = []Form{
	{Name: "sessions by a user's name", Fails: every, Says: refused, at: root, spoil: link("Sessions", "@%s/x")},
	{Name: "sessions by an encoded slash", Fails: every, Says: refused, at: root, spoil: link("Sessions", "%2f@127.0.0.9/x")},
	{Name: "sessions by a suffix", Fails: every, Says: refused, at: root, spoil: link("Sessions", ".attacker.example/x")},
	{Name: "sessions elsewhere", Fails: every, Says: refused, at: root, spoil: link("Sessions", "https://%s/x")},
	{Name: "sessions in plain text", Fails: every, Says: refused, at: root, spoil: link("Sessions", "http://%h/redfish/v1/SessionService/Sessions")},
	{Name: "sessions without a scheme", Fails: every, Says: refused, at: root, spoil: link("Sessions", "//%s/x")},
	{Name: "sessions by backslashes", Fails: every, Says: refused, at: root, spoil: link("Sessions", `/\%s/x`)},
	{Name: "sessions behind another path", Fails: every, Says: refused, at: root, spoil: link("Sessions", "/redfish/%2e%2e/x")},
	{Name: "sessions with a second request", Fails: every, Says: refused, at: root, spoil: link("Sessions", "/x HTTP/1.1\r\nHost: %s\r\n\r\nGET /y")},
	{Name: "sessions too long", Fails: every, Says: refused, at: root, spoil: link("Sessions", "/"+strings.Repeat("x", 100_000))},
	{Name: "systems elsewhere", Fails: every, Says: refused, at: root, spoil: link("Systems", "https://%s/redfish/v1/Systems")},
	{Name: "managers elsewhere", Fails: every, Says: refused, at: system, spoil: link("ManagedBy", "https://%s/redfish/v1/Managers/1")},
	{Name: "members elsewhere", Fails: every, Says: refused, at: systems, spoil: func(x *exchange) { x.say(`{"Members":[{"@odata.id":"` + x.place("https://%s/x") + `"}]}`) }},
	{Name: "the next page elsewhere", Fails: every, Says: refused, at: systems, spoil: func(x *exchange) {
		x.edit(func(doc any) { doc.(map[string]any)["Members@odata.nextLink"] = x.place("https://%s/x") })
	}},
	{Name: "media elsewhere", Fails: every, Says: refused, spoil: link("VirtualMedia", "https://%s/x")},
	{Name: "storage elsewhere", Fails: hardware, Says: refused, at: system, spoil: link("Storage", "https://%s/x")},
	{Name: "drives elsewhere", Fails: hardware, Says: refused, at: at("/Storage"), spoil: link("Drives", "https://%s/x")},
	{Name: "the reset elsewhere", Fails: runs, Says: refused, at: system, spoil: link("#ComputerSystem.Reset", "https://%s/x")},
	{Name: "the insert elsewhere", Fails: runs, Says: refused, at: slots, spoil: link("#VirtualMedia.InsertMedia", "@%s/x")},
	{Name: "links with the BMC's own name", Fails: none, spoil: func(x *exchange) {
		own := "https://" + x.r.Host
		x.say(strings.ReplaceAll(x.body.String(), `":"/redfish`, `":"`+own+`/redfish`))
	}},
}

// located adds a Location to the answer.
func located(status int, to string) func(*exchange) {
	return func(x *exchange) {
		if status != 0 && x.status < 300 {
			x.status = status
			x.say("{}")
		}
		x.header.Set("Location", x.place(to))
	}
}

var locations = []Form{
	{Name: "the session elsewhere", Fails: none, at: login, spoil: located(0, "https://%s/redfish/v1/SessionService/Sessions/1")},
	{Name: "the session by a user's name", Fails: none, at: login, spoil: located(0, "https://%h@%s/x")},
	{Name: "the session without a scheme", Fails: none, at: login, spoil: located(0, "//%s/x")},
	{Name: "the session nowhere", Fails: none, at: login, spoil: func(x *exchange) {
		x.header.Del("Location")
		x.say("{}")
	}},
	{Name: "the task elsewhere", Fails: none, at: at("InsertMedia"), spoil: located(202, "https://%s/redfish/v1/TaskService/Tasks/1")},
	{Name: "the task by a user's name", Fails: runs, Says: refused, at: at("InsertMedia"), spoil: located(202, "@%s/x")},
	{Name: "the task elsewhere in the body", Fails: runs, Says: refused, at: at("InsertMedia"), spoil: func(x *exchange) {
		x.status = 202
		x.say(`{"@odata.id":"` + x.place("https://%s/x") + `"}`)
	}},
}

// beyondTimeout is longer than any client of a simulation waits.
const beyondTimeout = time.Minute

var slow = []Form{
	{Name: "byte by byte", Fails: every, Says: "in time", Unreachable: true, Slow: true, at: system, spoil: func(x *exchange) { x.pour("", " ", 50*time.Millisecond) }},
	{Name: "the root byte by byte", Fails: every, Says: "in time", Unreachable: true, Slow: true, at: root, spoil: func(x *exchange) { x.pour("{", " ", 50*time.Millisecond) }},
	{Name: "no answer", Fails: every, Says: "in time", Unreachable: true, Slow: true, at: system, spoil: func(x *exchange) {
		x.wait(beyondTimeout)
		x.over = true
	}},
	{Name: "no answer after half of it", Fails: every, Says: "in time", Unreachable: true, Slow: true, at: system, spoil: func(x *exchange) { x.pour(`{"Name":`, " ", beyondTimeout) }},
	{Name: "no answer to the login", Fails: every, Says: "in time", Unreachable: true, Slow: true, at: login, spoil: func(x *exchange) {
		x.wait(beyondTimeout)
		x.over = true
	}},
}

var wrong = []Form{
	{Name: "shorter than said", Fails: every, Says: "closed the connection", Unreachable: true, at: system, spoil: func(x *exchange) { x.raw("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{}") }},
	{Name: "shorter than said by a gigabyte", Fails: every, Says: "closed the connection", Unreachable: true, at: system, spoil: func(x *exchange) { x.raw("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n{}") }},
	{Name: "longer than said", Fails: every, Says: "not JSON", at: system, spoil: func(x *exchange) { x.raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" + x.body.String()) }},
	{Name: "a negative length", Fails: every, Says: "Content-Length", Unreachable: true, at: system, spoil: func(x *exchange) { x.raw("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}") }},
	{Name: "two lengths", Fails: every, Says: "Content-Length", Unreachable: true, at: system, spoil: func(x *exchange) { x.raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}") }},
	{Name: "a broken chunk", Fails: every, Says: "chunk", Unreachable: true, at: system, spoil: func(x *exchange) { x.raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n") }},
	{Name: "a chunk too long", Fails: every, Says: "chunk|closed the connection", Unreachable: true, at: system, spoil: func(x *exchange) {
		x.raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n")
	}},
	{Name: "no HTTP", Fails: every, Says: "malformed HTTP", Unreachable: true, at: system, spoil: func(x *exchange) { x.raw("\x1b[2J\x1b]0;evil\x07\u009b31m SSH-2.0\r\n\r\n") }},
}

// Drawing is what a text must not bring to a terminal: it clears the screen, rings, colours,
// reverses, hides, and begins a line of its own.
const Drawing = "\x1b[2J\a\u009b31m\u202e\u2066\u200b\ufeff\nfake: proven\r\u2028"

// described are the fields with texts for people, on which no client acts.
var described = []string{"Name", "Model", "Manufacturer", "SerialNumber", "SKU", "FirmwareVersion", "Description", "DisplayName", "LastState", "PostState", "Message", "Resolution", "LicenseDescription"}

// device reports drives and volumes, by whose names a plan chooses.
var device = at(`/(Drives|Volumes)/`)

// placeholder marks in a document what JSON has no escape for.
const placeholder = "%EVIL%"

// written appends JSON to the texts of documents, as it stands.
func written(fragment string) func(*exchange) {
	return func(x *exchange) {
		x.edit(func(doc any) {
			walk(doc, func(o map[string]any) {
				for _, name := range described {
					if text, ok := o[name].(string); ok {
						o[name] = text + placeholder
					}
				}
			})
		})
		x.say(strings.ReplaceAll(x.body.String(), placeholder, fragment))
	}
}

// texted is what is read, without the devices that a plan chooses.
func texted(r *http.Request) bool { return reads(r) && !device(r) && !at("/Storage")(r) }

func quoted(text string) string {
	b, _ := json.Marshal(text)
	return string(b[1 : len(b)-1])
}

var texts = []Form{
	{Name: "controls in every text", Fails: none, at: texted, spoil: written(quoted("\x1b[2J\x1b]0;evil\x07\x00\x7f"))},
	{Name: "C1 controls in every text", Fails: none, at: texted, spoil: written("\u009b31m\u0085\\u009b2J")},
	{Name: "lines in every text", Fails: none, at: texted, spoil: written(`\nfake: proven\r\n\u2028x`)},
	{Name: "directions in every text", Fails: none, at: texted, spoil: written("\u202egnp.exe\u2066\u200f")},
	{Name: "hidden characters in every text", Fails: none, at: texted, spoil: written("\u200b\ufeff\u00ad\u3164\U000e0041")},
	{Name: "bytes that are no UTF-8", Fails: none, at: texted, spoil: written("\xff\x9b31m\xc3")},
	{Name: "long texts", Fails: none, at: texted, spoil: written(strings.Repeat("x", 20_000))},
	{Name: "drawing keys", Fails: none, at: texted, spoil: func(x *exchange) {
		x.edit(func(doc any) {
			walk(doc, func(o map[string]any) {
				if o["Id"] != nil { // else a link would look like a resource
					o[Drawing] = Drawing
				}
			})
		})
	}},
	{Name: "a drawing error", Fails: every, Says: "answers 400", at: system, spoil: func(x *exchange) {
		x.status = http.StatusBadRequest
		x.say(`{"error":{"code":"` + quoted("Base.1."+Drawing) + `","@Message.ExtendedInfo":[{"MessageId":"` + quoted("Base.1.8."+Drawing) + `","Message":"` + quoted(Drawing) + "\u009b31m" + `"}]}}`)
	}},
	{Name: "a drawing error that is no JSON", Fails: every, Says: "not JSON", at: system, spoil: func(x *exchange) {
		x.status = http.StatusBadRequest
		x.say("no: " + Drawing + "\xff")
	}},
	{Name: "drawing headers", Fails: none, at: texted, spoil: func(x *exchange) {
		x.header.Set("ETag", "\"\u009b31m\u202e\"")
		x.header.Set("Server", "\u009b31m\u202e")
	}},
	{Name: "a drawing name of the system", Fails: every, Says: refused, at: systems, spoil: func(x *exchange) {
		x.say(`{"Members":[{"@odata.id":"/redfish/v1/Systems/` + quoted(Drawing) + `"},{"@odata.id":"/redfish/v1/Systems/` + quoted("b"+Drawing) + `"}]}`)
	}},
}

// echo echoes the secrets of the client, in every text, in one encoding.
func echo(encode func(string) string) func(*exchange) {
	return func(x *exchange) { written(encode(x.evil.known()))(x) }
}

func escaped(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		fmt.Fprintf(&b, `\u%04x`, c)
	}
	return b.String()
}

var echoes = []Form{
	{Name: "secrets as they are", Fails: none, at: texted, spoil: echo(quoted)},
	{Name: "secrets by JSON escapes", Fails: none, at: texted, spoil: echo(escaped)},
	{Name: "secrets by base64", Fails: none, at: texted, spoil: echo(func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) })},
	{Name: "secrets by hexadecimal", Fails: none, at: texted, spoil: echo(func(s string) string { return hex.EncodeToString([]byte(s)) })},
	{Name: "secrets as in URLs", Fails: none, at: texted, spoil: echo(url.QueryEscape)},
	{Name: "secrets in all encodings", Fails: none, at: texted, spoil: echoAll},
	{Name: "secrets in an error", Fails: every, Says: "answers 400", at: system, spoil: func(x *exchange) {
		x.status = http.StatusBadRequest
		x.say(`{"error":{"message":"` + quoted("no "+x.evil.known()) + `"}}`)
	}},
	{Name: "secrets in a web page", Fails: every, Says: "answers 400", at: system, spoil: func(x *exchange) {
		x.status = http.StatusBadRequest
		x.say("no " + x.evil.known())
	}},
	{Name: "secrets in a redirect", Fails: every, Says: "redirects to", at: system, spoil: func(x *exchange) {
		redirect(302, "https://%s/?"+url.QueryEscape(x.evil.known()))(x)
	}},
}
