package bmc

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"esxiplan/engine/descriptor"
	"esxiplan/engine/text"
)

// Message is one entry of a BMC's extended error information.
type Message struct {
	ID       string // last part of the MessageId
	Text     string
	Args     string
	Severity string // OK, Warning, Critical, or empty
}

// Error is an answer that is no success, or no answer at all.
type Error struct {
	Op       string // what was tried: "insert media into slot 2"
	Request  string // "POST /redfish/v1/…"
	Status   int    // 0: no HTTP answer
	Messages []Message
	Advice   Advice // what the first known message means
	Err      error  // transport error
	headers  map[string][]string
	body     string // of the answer, its beginning
	vague    bool   // the advice only says that something failed
	written  bool   // the answer to a write
	unsent   bool   // there was no connection to send it on
}

// Refused reports that the BMC answered that it did not do a write. A server error without
// details leaves that open, as a lost answer does.
func (e *Error) Refused() bool {
	switch {
	case !e.written || e.Status < 400 || e.Status == http.StatusRequestTimeout:
		return false
	case e.Status < 500 || e.Status == http.StatusServiceUnavailable || e.Status == http.StatusNotImplemented:
		return true
	}
	return e.Advice.Text != "" && !e.vague
}

func (e *Error) Error() string { return e.with(after(e.next())) }

// Apart is what happened, and what to do about it, "" where no answer of the BMC tells.
func (e *Error) Apart() (what, next string) {
	if e.Err != nil && e.Advice.Text == "" {
		return e.Error(), ""
	}
	return e.with(""), e.next()
}

// with is what happened, with a text behind what that means.
func (e *Error) with(next string) string {
	var b strings.Builder
	if e.Op != "" {
		fmt.Fprintf(&b, "%s: ", e.Op)
	}
	switch {
	case e.Advice.Text != "":
		b.WriteString(e.Advice.Text + next)
		fmt.Fprintf(&b, " (%s: %d%s%s)", e.Request, e.Status, e.ids(), e.text())
	case e.Err != nil:
		fmt.Fprintf(&b, "%s: %v", e.Request, e.Err)
	default:
		text := strings.TrimRight(e.text(), ". \n")
		fmt.Fprintf(&b, "%s: the BMC answers %d%s%s%s", e.Request, e.Status, e.ids(), text, next)
	}
	return b.String()
}

// after puts what to do behind what happened.
func after(next string) string {
	if next == "" {
		return ""
	}
	return "; " + next
}

// failed reports a server error without details.
func (e *Error) failed() bool {
	return e.Status >= 500 && e.Status != http.StatusNotImplemented && e.Status != http.StatusServiceUnavailable
}

// next is what to do: from the advice, else from the status alone, which says little.
func (e *Error) next() string {
	next := e.Advice.Next
	switch {
	case e.failed() && strings.HasPrefix(e.Op, string(VerbInsert)) && (e.vague || next == ""):
		next = catalogue["CouldNotEstablishConnection"].Next + "; if it is reached, reset the BMC"
	case next != "":
	case e.Advice.Retry, e.Status == http.StatusConflict, e.Status == http.StatusTooManyRequests, e.Status == http.StatusServiceUnavailable:
		next = "wait a few minutes, then run this again"
	case e.Status == http.StatusUnauthorized, e.Status == http.StatusForbidden:
		next = catalogue["AccessDenied"].Next
	case e.Request == "GET "+rootURI && (e.Status < 300 || e.Status == http.StatusNotFound):
		next = "check that the address is that of a BMC, and that Redfish is enabled in its settings"
	case e.Status == http.StatusNotFound, e.Status == http.StatusMethodNotAllowed, e.Status == http.StatusNotImplemented:
		next = "check license and firmware of the BMC"
	case e.Status >= 500:
		next = "run this again; if it stays so, reset the BMC"
	case e.Status >= 400:
		next = "look into the BMC's log, and run this with --trace to see the request"
	case e.Status >= 300:
		next = "give the address that it redirects to"
	default: // a success that cannot be read
		next = "run this again; if it stays so, reset the BMC"
	}
	return next
}

func (e *Error) Unwrap() error { return e.Err }

// mostKept is how many bytes of an answer are kept for people.
const mostKept = 4 << 10

// keep keeps what was answered, without the values of fields that are named as secrets are.
func (e *Error) keep(body []byte) {
	shown := text.Lines(withoutSecrets(body))
	if len(shown) > mostKept {
		shown = strings.ToValidUTF8(shown[:mostKept-len("…")], "") + "…"
	}
	e.body = shown
}

// Answer is what the BMC answered: the request, the status and the beginning of the body. ok is
// false where it gave no answer.
func (e *Error) Answer() (request string, status int, body string, ok bool) {
	return e.Request, e.Status, e.body, e.Status != 0
}

func (e *Error) ids() string {
	var out strings.Builder
	for _, m := range e.Messages {
		if m.ID != "" {
			out.WriteString(" " + m.ID)
		}
	}
	return out.String()
}

func (e *Error) text() string {
	for _, m := range e.Messages {
		if m.Text != "" {
			return ": " + m.Text
		}
	}
	return ""
}

// Has reports whether a message with that last part of the MessageId came.
func (e *Error) Has(ids ...string) bool {
	for _, m := range e.Messages {
		for _, id := range ids {
			if m.ID == id {
				return true
			}
		}
	}
	return false
}

// Says reports whether err is an answer of a BMC with one of these messages.
func Says(err error, ids ...string) bool {
	var e *Error
	return errors.As(err, &e) && e.Has(ids...)
}

// mentions reports whether the error names a property, in whatever field.
func (e *Error) mentions(word string) bool {
	for _, m := range e.Messages {
		if strings.Contains(m.Text, word) || strings.Contains(m.Args, word) {
			return true
		}
	}
	return false
}

// Retryable reports whether the same request may succeed later.
func (e *Error) Retryable() bool {
	if e.Advice.Text != "" {
		return e.Advice.Retry
	}
	return e.Status == 0 || e.Status >= 500 || e.Status == 409 || e.Status == 429 || e.Status == 408
}

// Unreachable reports whether no HTTP answer came at all, as far as that is not the fault of
// this process.
func (e *Error) Unreachable() bool { return e.Status == 0 && !descriptor.Exhausted(e.Err) }

// ErrLogin is a refused login. It is final: another try with the same password
// would lock the account.
type ErrLogin struct {
	Address, Username string
	Reason            string // what was tried, and how the BMC answered
	Next              string // what to do
	Untried           bool   // it was not sent, because other BMCs refused the same
	answered          *Error // how the BMC refused; nil: it was not asked
}

// Answer is what the BMC answered to the last login, as that of [Error].
func (e *ErrLogin) Answer() (request string, status int, body string, ok bool) {
	if e.answered == nil {
		return "", 0, "", false
	}
	return e.answered.Answer()
}

func (e *ErrLogin) Error() string {
	if e.Untried {
		return fmt.Sprintf("the login of user %q to the BMC %s is %s. %s", e.Username, e.Address, e.Reason, e.Next)
	}
	return fmt.Sprintf("the BMC %s refuses the login of user %q: %s. %s; "+
		"it is not tried again, because BMCs lock accounts", e.Address, e.Username, e.Reason, e.Next)
}

// Apart is what happened, and what to do about it.
func (e *ErrLogin) Apart() (what, next string) {
	if e.Untried {
		return fmt.Sprintf("the login of user %q to the BMC %s is %s", e.Username, e.Address, e.Reason), e.Next
	}
	return fmt.Sprintf("the BMC %s refuses the login of user %q: %s; it is not tried again, because BMCs lock accounts", e.Address, e.Username, e.Reason), e.Next
}

// ErrSlot is a slot that does not take the image; another one may.
type ErrSlot struct{ Err error }

func (e *ErrSlot) Error() string { return e.Err.Error() }
func (e *ErrSlot) Unwrap() error { return e.Err }

// ErrBusy is something that the BMC does not have yet.
type ErrBusy struct{ What string }

func (e *ErrBusy) Error() string { return e.What }

// Retryable makes the engine try again.
func (e *ErrBusy) Retryable() bool { return true }

// ErrUnsupported is something that this BMC does not offer.
type ErrUnsupported struct{ What string }

func (e *ErrUnsupported) Error() string { return e.What }

// extendedInfo reads the messages in an error body, in all the shapes in which
// BMCs write them: list or single object, MessageID for MessageId, at the top
// level or inside error, arguments of any type.
func extendedInfo(body []byte) []Message {
	var doc struct {
		Error struct {
			Code    any             `json:"code"`
			Message any             `json:"message"`
			Info    json.RawMessage `json:"@Message.ExtendedInfo"`
		} `json:"error"`
		Info json.RawMessage `json:"@Message.ExtendedInfo"`
	}
	if lenient(body, &doc) != nil {
		return nil
	}
	messages := append(messageList(doc.Error.Info), messageList(doc.Info)...)
	said, _ := doc.Error.Message.(string)
	if len(messages) == 0 && said != "" {
		code, _ := doc.Error.Code.(string)
		return []Message{{ID: lastPart(code), Text: said}}
	}
	return withText(messages, said)
}

// elsewhere matches texts that only say that something failed, or where to read on.
var elsewhere = regexp.MustCompile(`(?i)extended ?info|general error has occurred`)

// withText adds error.message to messages that say nothing themselves: some
// services write the reason there, and an entry with only an ID, or a text that says nothing.
func withText(messages []Message, said string) []Message {
	specific := func(m Message) bool { return m.Text != "" && !elsewhere.MatchString(m.Text) }
	if len(messages) > 0 && said != "" && !elsewhere.MatchString(said) && !slices.ContainsFunc(messages, specific) {
		messages[0].Text = said
	}
	return messages
}

// mostMessages is how many messages of one answer are looked at.
const mostMessages = 20

func messageList(raw json.RawMessage) []Message {
	type message struct {
		ID                        string `json:"MessageId"`
		IDOld                     string `json:"MessageID"`
		Message                   string
		Severity, MessageSeverity string
		Args                      json.RawMessage `json:"MessageArgs"`
		Related                   json.RawMessage `json:"RelatedProperties"`
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		list = []json.RawMessage{raw}
	}
	var out []Message
	for _, entry := range list[:min(len(list), mostMessages)] {
		var m message
		if len(entry) == 0 || entry[0] != '{' || lenient(entry, &m) != nil {
			continue
		}
		id := m.ID
		if id == "" {
			id = m.IDOld
		}
		out = append(out, Message{lastPart(id), m.Message, string(m.Args) + string(m.Related), firstOf(m.Severity, m.MessageSeverity)})
	}
	return out
}

// lastPart is what a MessageId says without its registry; recorded ones have 60 characters.
func lastPart(id string) string { return text.Short(id[strings.LastIndexByte(id, '.')+1:], 100) }
