package evil

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Encoding is one way to write a secret.
type Encoding struct {
	Name   string
	Encode func(secret string) string
	inJSON bool // what it writes is part of a JSON string already
}

// Encodings are the ways in which a BMC echoes a secret.
func Encodings() []Encoding {
	encode64 := base64.StdEncoding.EncodeToString
	behind := func(before string) func(string) string {
		return func(s string) string { return encode64([]byte(before + s)) }
	}
	each := func(format string) func(string) string {
		return func(s string) string {
			var b strings.Builder
			for _, c := range []byte(s) {
				fmt.Fprintf(&b, format, c)
			}
			return b.String()
		}
	}
	return []Encoding{
		{Name: "as it is", Encode: func(s string) string { return s }},
		{Name: "JSON", Encode: quoted, inJSON: true},
		{Name: "JSON with escaped slashes", Encode: func(s string) string { return strings.ReplaceAll(quoted(s), "/", `\/`) }, inJSON: true},
		{Name: "JSON by numbers", Encode: escaped, inJSON: true},
		{Name: "JSON by numbers, upper case", Encode: each(`\u%04X`), inJSON: true},
		{Name: "JSON in JSON", Encode: escaped},
		{Name: "base64", Encode: behind("")},
		{Name: "base64url", Encode: func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }},
		{Name: "base64 as Basic has it", Encode: behind("root:")},
		{Name: "base64 one byte on", Encode: behind("x")},
		{Name: "base64 two bytes on", Encode: behind("xy")},
		{Name: "hexadecimal", Encode: func(s string) string { return hex.EncodeToString([]byte(s)) }},
		{Name: "hexadecimal, upper case", Encode: func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) }},
		{Name: "query of a URL", Encode: url.QueryEscape},
		{Name: "path of a URL", Encode: url.PathEscape},
		{Name: "URL by numbers", Encode: each("%%%02x")},
		{Name: "HTML", Encode: html.EscapeString},
		{Name: "HTML by numbers", Encode: each("&#%d;")},
	}
}

// secretsOf are the secrets that the client of a request can know: not the tokens of others.
func (b *BMC) secretsOf(r *http.Request) []string {
	own := r.Header.Get("X-Auth-Token")
	all := b.Secrets()
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(all, func(s string) bool { return b.tokens[s] && s != own })
}

// echoAll echoes the secrets of the client, each text another one in another encoding.
func echoAll(x *exchange) {
	secrets, encodings := x.evil.secretsOf(x.r), Encodings()
	if len(secrets) == 0 {
		return
	}
	written(placeholder)(x)
	for strings.Contains(x.body.String(), placeholder) {
		n := x.evil.next()
		e := encodings[n%len(encodings)]
		text := e.Encode(secrets[n/len(encodings)%len(secrets)])
		if !e.inJSON {
			text = quoted(text)
		}
		x.say(strings.Replace(x.body.String(), placeholder, " "+text, 1))
	}
}
