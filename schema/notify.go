package schema

import (
	"errors"
	"fmt"
	"maps"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// Notify is a target that a run notifies when it starts, when hosts fail, and when it ends.
type Notify struct {
	Name     string            `json:"name" doc:"Name of the notify block."`
	URL      Secret            `json:"url" doc:"Address of the webhook, http:// or https://. It is treated as a secret: for most services whoever knows it can send."`
	Format   string            `json:"format" enum:"webhook slack teams mattermost" default:"webhook" doc:"What is sent: webhook is the message as JSON, the others are what incoming webhooks of Slack and Mattermost and the Workflows webhooks of Microsoft Teams take."`
	On       []string          `json:"on" doc:"When: a list of \"start\", \"failure\" and \"end\". Default: [\"failure\", \"end\"]."`
	Secret   *Secret           `json:"secret" doc:"Key of the HMAC-SHA256 signature in the header X-Esxiplan-Signature."`
	Headers  map[string]Secret `json:"headers" doc:"Further headers of the request, such as { Authorization = \"Bearer …\" }."`
	Template *string           `json:"template" doc:"Text of the message, in the place of the built-in one: a template that may refer to message."`
	Timeout  Duration          `json:"timeout" default:"10s" doc:"How long one attempt to send may take, 1s to 1m."`
	TLS      *TLS              `json:"tls" doc:"How the certificate of the server is checked. Default: against the system's authorities."`
	Range    hcl.Range         `json:"-"`

	said     hcl.Attributes // its arguments as they are written
	template hcl.Expression // of messages; nil: they have the built-in text
}

// NotifyKinds are the words that `on` takes.
var NotifyKinds = []string{"start", "failure", "end"}

// Webhook is the format of a notify block in which programs read all of a message.
const Webhook = "webhook"

// messageRoot is what a template calls the message.
const messageRoot = "message"

var notifyObject = Of[Notify]()

// NotifyObject describes the arguments of a notify block.
func NotifyObject() *Object { return notifyObject }

// rangeOf is where an argument was written, or the block.
func (n *Notify) rangeOf(argument string) hcl.Range { return placeOf(argument, n.said, n.Range) }

func (l *loader) notify(b *hcl.Block) {
	n := &Notify{Range: b.DefRange, said: l.content(b.Body, header(notifyObject)).Attributes}
	if a, ok := n.said["name"]; ok {
		l.problem(a.Range, "Unsupported argument", "A notify block has its name from its label. Remove this argument.")
	}
	given := map[string]cty.Value{"name": cty.StringVal(b.Labels[0])}
	if attr := n.said["template"]; attr != nil {
		text := l.messageTemplate(attr)
		if given["template"] = text; !text.IsNull() {
			n.template = attr.Expr
		}
	}
	values, diags := l.objectFrom(n.said, notifyObject, l.global, b.DefRange, given)
	l.add(diags...)
	unknown := l.fill(values, notifyObject, n, b.DefRange)
	if n.On == nil && !slices.Contains(unknown, "on") {
		n.On = []string{"failure", "end"}
	}
	l.plan.Notify = append(l.plan.Notify, n)
	l.checkNotify(n, unknown)
}

// messageTemplate evaluates a template for a message that is not known yet: what is wrong with it
// shows now, and not when a host fails.
func (l *loader) messageTemplate(attr *hcl.Attribute) cty.Value {
	diags := l.checkNames(attr.Expr, messageRoot)
	for _, t := range attr.Expr.Variables() {
		if t.RootName() != messageRoot {
			continue
		}
		if d := checkAttribute(l.plan.known.Message, t, 1, messageRoot); d != nil {
			diags = append(diags, d)
		}
	}
	if diags.HasErrors() {
		l.add(diags...)
		return cty.UnknownVal(cty.String)
	}
	value, diags := attr.Expr.Value(l.plan.messageContext(cty.UnknownVal(l.plan.known.Message.Type())))
	l.add(withoutValues(diags)...)
	if diags.HasErrors() {
		return cty.UnknownVal(cty.String)
	}
	return value
}

func (p *Plan) messageContext(message cty.Value) *hcl.EvalContext {
	ctx := p.global.NewChild()
	ctx.Variables = map[string]cty.Value{messageRoot: message}
	return ctx
}

// Templated reports whether the block has a template: null means no template.
func (n *Notify) Templated() bool { return n.template != nil }

// Message is the text of a message by the template of a [Notify.Templated] block; message is that of [Known], as
// JSON.
func (p *Plan) Message(n *Notify, message []byte) (string, error) {
	value, err := p.known.Message.FromJSON(message)
	if err != nil {
		return "", err
	}
	value, diags := n.template.Value(p.messageContext(value))
	if p.hide(diags); diags.HasErrors() {
		return "", fmt.Errorf("template at %s: %s", position(n.template.Range()), diags[0].Detail)
	}
	a, _ := notifyObject.Argument("template")
	value, err = a.Conform(value)
	if err != nil || value.IsNull() {
		return "", fmt.Errorf("template at %s: %w", position(n.template.Range()), errors.Join(err, errors.New("it must be a text")))
	}
	return value.AsString(), nil
}

// Authorities reads a file with certificates that the plan names.
func (p *Plan) Authorities(name string) ([]byte, error) { return p.access.authorities(name) }

// checkNotify finds what is wrong with arguments that are known.
func (l *loader) checkNotify(n *Notify, unknown []string) {
	known := func(argument string) bool { return !slices.Contains(unknown, argument) }
	if known("url") && !l.isMadeUp(n.URL.Reveal()) {
		if reason := invalidHook(n.URL.Reveal()); reason != "" {
			l.problem(n.rangeOf("url"), "Invalid notify block", "url: %s.", reason)
		}
	}
	if known("on") {
		l.checkKinds(n)
	}
	if d := time.Duration(n.Timeout); known("timeout") && (d < time.Second || d > time.Minute) {
		l.problem(n.rangeOf("timeout"), "Invalid notify block", "timeout: one attempt may take 1s to 1m, not %s.", n.Timeout)
	}
	if known("secret") && n.Secret != nil && n.Secret.IsZero() {
		l.problem(n.rangeOf("secret"), "Invalid notify block", "secret: an empty key signs nothing. Remove the argument, or give the key that the receiver has.")
	}
	for _, name := range slices.Sorted(maps.Keys(n.Headers)) {
		if reason := invalidHeader(name, n.Headers[name].Reveal()); reason != "" {
			l.problem(n.rangeOf("headers"), "Invalid notify block", "headers: %s.", reason)
		}
	}
	l.checkNotifyTLS(n)
}

// isMadeUp reports that a text has a part that stands in for a secret that was not given.
func (l *loader) isMadeUp(text string) (found bool) {
	l.madeUp.Range(func(made, _ any) bool {
		found = strings.Contains(text, made.(string))
		return !found
	})
	return found
}

// invalidHook is why a text is no address of a webhook. It does not repeat the text.
func invalidHook(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return "it must be http:// or https:// with a host"
	case u.User != nil:
		return "it must not hold a user: give headers = { Authorization = … } instead"
	case u.Fragment != "":
		return "it must not hold a fragment: remove the part from # on"
	}
	return ""
}

// ownHeaders are those that esxiplan sets.
var ownHeaders = []string{"Content-Length", "Content-Type", "Host", "User-Agent", "X-Esxiplan-Signature", "X-Esxiplan-Delivery"}

// invalidHeader is why a header cannot be sent. It does not repeat the value.
func invalidHeader(name, value string) string {
	canonical := textproto.CanonicalMIMEHeaderKey(name)
	switch {
	case slices.Contains(ownHeaders, canonical):
		return fmt.Sprintf("esxiplan sets %s itself; remove it", canonical)
	case !headerName(name):
		return fmt.Sprintf("%q cannot be the name of a header", name)
	case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
		return fmt.Sprintf("the value of %s holds a line break or another control character; trimspace() removes one at its end", canonical)
	}
	return ""
}

func headerName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"(),/:;<=>?@[\\]{}", r)
	})
}

func (l *loader) checkKinds(n *Notify) {
	if len(n.On) == 0 {
		l.problem(n.rangeOf("on"), "Invalid notify block", "on: the list is empty, so nothing would be sent. Give %s, or remove the block.", quoted(NotifyKinds))
	}
	for i, kind := range n.On {
		switch {
		case !slices.Contains(NotifyKinds, kind):
			l.problem(n.rangeOf("on"), "Invalid notify block", "on[%d]: %q is not one of %s%s", i, kind, quoted(NotifyKinds), DidYouMean(kind, NotifyKinds))
		case slices.Contains(n.On[:i], kind):
			l.problem(n.rangeOf("on"), "Invalid notify block", "on[%d]: %q stands there twice. Remove one of them.", i, kind)
		}
	}
}

func (l *loader) checkNotifyTLS(n *Notify) {
	if n.TLS == nil {
		return
	}
	if n.TLS.FirstUse != nil {
		l.problem(n.rangeOf("tls"), "Invalid tls", "first_use is for BMCs: a server that sends messages on is not trusted by sight. Give ca_file or fingerprint.")
		return
	}
	for _, reason := range l.invalidTLS(n.TLS, "verify, fingerprint and ca_file") {
		l.problem(n.rangeOf("tls"), "Invalid tls", "%s.", reason)
	}
}

// secrets finds those that are given as arguments, each with its name.
func (n *Notify) secrets(found func(name, text string)) {
	block := "notify" + member(n.Name)
	if confidential(n.URL.Reveal()) {
		found(block+".url", n.URL.Reveal())
	}
	if s := deref(n.Secret); !s.IsZero() {
		found(block+".secret", s.Reveal())
	}
	for name, value := range n.Headers {
		if !value.IsZero() {
			found(block+".headers"+member(name), value.Reveal())
		}
	}
}

// confidential reports whether a URL says more than a server.
func confidential(text string) bool {
	u, err := url.Parse(text)
	return err != nil || len(u.RequestURI()) > 1
}

// Secrets lists what must not be shown of a notify block: its key, the values of its headers,
// its URL, and what of that is long enough to stand for it.
func (n *Notify) Secrets() (texts []string) {
	n.secrets(func(_, text string) { texts = append(texts, text) })
	if u, err := url.Parse(n.URL.Reveal()); err == nil && len(u.RequestURI()) >= longPath {
		texts = append(texts, u.RequestURI())
	}
	return texts
}

// longPath is how long the path of a webhook is, at least, that is a secret by itself.
const longPath = 16

// notifyLiterals finds secrets of notify blocks that are written out in the plan.
func (p *Plan) notifyLiterals() (diags hcl.Diagnostics) {
	for _, n := range p.Notify {
		arguments := []string{"secret"}
		if n.Format != Webhook {
			arguments = append(arguments, "url")
		}
		for _, argument := range arguments {
			if at, written := p.literalIn(n.said[argument], ""); written {
				diags = append(diags, warning(at, "Password in the plan", "The %s of notify %q is written out here, for everyone who can read the plan and its history. "+
					"Write env(\"NAME\") to take it from the environment, or declare a variable with sensitive = true.", argument, n.Name))
			}
		}
	}
	return diags
}
