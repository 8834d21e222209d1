package notify

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"esxiplan/engine/text"
)

// Target is where messages go, and in which form.
type Target struct {
	Name    string // of the notify block
	URL     string
	Format  string   // one of the formats below
	On      []string // kinds of messages
	Secret  string   // key of the signature; "": messages are not signed
	Headers map[string]string
	Timeout time.Duration // of one attempt
	TLS     *tls.Config   // nil: the system's authorities
	// Render makes the text of a message, which it gets as JSON; nil: the built-in one.
	Render func(message []byte) (string, error)
	// Transport sends requests; nil: one of its own, through the proxy of the environment.
	Transport http.RoundTripper
}

// The formats of what is sent.
const (
	Webhook    = "webhook"    // [Message] as JSON
	Slack      = "slack"      // incoming webhook of Slack
	Teams      = "teams"      // Workflows webhook of Microsoft Teams
	Mattermost = "mattermost" // incoming webhook of Mattermost
)

// SignatureHeader signs a message where the target has a key. Its value is
//
//	t=1767225600,v1=5257a869e7…
//
// t is when the request was sent, in seconds since 1970. v1 is HMAC-SHA256, in hexadecimal,
// of t, a dot and the body as it was received, with the target's key. A receiver computes v1
// by itself, compares in constant time, and refuses a t that is more than five minutes off, so
// that a recorded request is of no use later.
const SignatureHeader = "X-Esxiplan-Signature"

// DeliveryHeader is the ID of the message, the same in each attempt to deliver it: a receiver
// that has seen it drops the repetition.
const DeliveryHeader = "X-Esxiplan-Delivery"

// sign is the value of [SignatureHeader].
func sign(key string, body []byte, now time.Time) string {
	t := fmt.Sprint(now.Unix())
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// longestText is how many characters a text for a chat has: each of them takes that many.
const longestText = 10_000

// body is what is sent for a message. err says that the template failed, and the built-in
// text takes its place.
func (t *Target) body(m Message, mask func(string) string) (body []byte, err error) {
	text.Value(&m)
	escapeFor(t.Format, &m)
	m.Text = m.builtIn()
	if t.Render != nil {
		rendered, renderErr := t.Render(encode(m))
		if err = renderErr; err == nil {
			m.Text = text.Lines(rendered)
		}
	}
	return []byte(mask(string(encode(t.payload(m))))), err
}

// payload is the message in the target's format.
func (t *Target) payload(m Message) any {
	switch t.Format {
	case Slack:
		return map[string]any{"text": shortened(m.Text), "unfurl_links": false, "unfurl_media": false}
	case Mattermost:
		return map[string]any{"text": shortened(m.Text)}
	case Teams:
		return adaptiveCard(shortened(m.Text))
	}
	return m
}

func shortened(text string) string {
	if utf8.RuneCountInString(text) <= longestText {
		return text
	}
	return string([]rune(text)[:longestText]) + "…"
}

// escapeFor keeps names and what machines say from being markup, mentions or links of a chat.
// What a template adds stays as its author wrote it.
func escapeFor(format string, m *Message) {
	var r *strings.Replacer
	switch format {
	case Slack:
		r = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	case Mattermost:
		r = strings.NewReplacer("@", "@\u200b", "[", "\\[", "]", "\\]", "*", "\\*", "_", "\\_", "`", "\\`", "~", "\\~", "#", "\\#", "!", "\\!")
	default: // JSON is for programs, and the card for Teams knows no markup
		return
	}
	m.Plan, m.Run = r.Replace(m.Plan), r.Replace(m.Run)
	if m.Result != nil {
		result := *m.Result
		result.Internal = r.Replace(result.Internal)
		m.Result = &result
	}
	for i := range m.Failures {
		for _, field := range m.Failures[i].texts() {
			*field = r.Replace(*field)
		}
	}
}

func (f *FailedHost) texts() []*string {
	return []*string{&f.Host, &f.Machine, &f.Group, &f.Step, &f.Type, &f.Summary, &f.Detail, &f.Next}
}

// mostLines is how many lines a card has.
const mostLines = 100

// adaptiveCard shows each line as text without markup, the first one in bold.
func adaptiveCard(text string) any {
	var blocks []any
	for i, line := range strings.Split(text, "\n") {
		if i == mostLines {
			break
		}
		run := map[string]any{"type": "TextRun", "text": line}
		if i == 0 {
			run["weight"] = "Bolder"
		}
		blocks = append(blocks, map[string]any{"type": "RichTextBlock", "inlines": []any{run}})
	}
	card := map[string]any{"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4", "body": blocks}
	return map[string]any{"type": "message", "attachments": []any{
		map[string]any{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}}}
}

// encode writes JSON as it stands: what is escaped for pages would make a template's life hard.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil { // these types cannot fail
		return nil
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
