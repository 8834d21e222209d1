package bmc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"esxiplan/engine/text"
)

// reading is a document and when it was read.
type reading struct {
	body    []byte
	at      time.Time
	until   time.Time // it counts as current
	err     error     // why it could not be read; returned once
	stale   bool      // it was changed since
	decoded any       // what it was decoded into last; read only
}

// moment is how long a document counts as current after it was read, with others that were read
// ahead: long enough for the steps that prepare a machine to share what one of them read
// from a BMC that takes a second for each answer.
const moment = 15 * time.Second

// Refresh implements [Reader].
func (r *Redfish) Refresh(age time.Duration) {
	now := r.o.Now()
	maps.DeleteFunc(r.documents, func(_ Link, d *reading) bool { return now.Sub(d.at) >= age })
	if r.stock != nil && r.stock.Unread != nil {
		r.stock = nil // the request that failed may be answered now
	}
}

// known returns a document that was read a moment ago, if none of our writes may have changed
// it since; otherwise nil.
func (r *Redfish) known(uri Link) *reading {
	if d := r.documents[uri]; d != nil && !d.stale && r.believed(d) {
		return d
	}
	return nil
}

// believed reports that a reading is recent enough. What is read ahead is as recent as the
// last document of it, however long the BMC takes.
func (r *Redfish) believed(d *reading) bool {
	return r.o.Now().Before(d.until) || !r.since.IsZero() && !d.at.Before(r.since)
}

// maxRemembered bounds what is remembered, in bytes of bodies: a whole machine has a tenth.
const maxRemembered = 8 << 20

// maxDocuments bounds what one question may take to answer, so that links without end end.
// No recorded machine takes sixty if its collections come whole.
const maxDocuments = 3000

// remember keeps a document for a moment, and discards those that are out of date or for
// which there is no room.
func (r *Redfish) remember(uri Link, body []byte) *reading {
	return r.rememberAs(uri, &reading{body: body, at: r.o.Now()})
}

func (r *Redfish) rememberAs(uri Link, d *reading) *reading {
	held := len(d.body)
	maps.DeleteFunc(r.documents, func(_ Link, old *reading) bool {
		held += len(old.body)
		return !r.believed(old) || held > maxRemembered && len(old.body) > 0 // doubtful documents take no room
	})
	d.until = r.o.Now().Add(moment)
	r.documents[uri] = d
	return d
}

// doubt discards a document that our write may have changed. What was read of it before, with
// its collection, no longer counts either.
func (r *Redfish) doubt(uri Link) { r.rememberAs(uri, &reading{at: r.o.Now(), stale: true}) }

// document reads a document. What was read a moment ago, with no write since that may have
// changed it, is taken from memory. A session that the BMC has forgotten is renewed once.
func (r *Redfish) document(ctx context.Context, uri Link) (*reading, error) {
	if uri == "" {
		return nil, &ErrUnsupported{"the BMC does not link to what is needed here"}
	}
	if d := r.known(uri); d != nil {
		return r.outcomeOf(d)
	}
	if r.ahead == nil {
		if err := r.connect(ctx); err != nil {
			return nil, err
		}
	}
	at, err := r.origin.path(uri)
	if err != nil {
		return nil, err
	}
	if r.ahead != nil && r.ahead.named[at] {
		return nil, errWanted
	}
	if r.asked++; r.asked > maxDocuments {
		return nil, &ErrUnsupported{fmt.Sprintf("the BMC links to more than %d documents for one question, which is more than any machine has; the last is %s", maxDocuments, at.text)}
	}
	if r.ahead != nil {
		r.ahead.want(wanted{uri, at})
		return nil, errWanted
	}
	a, err := r.read(ctx, at)
	if err != nil {
		return nil, err
	}
	r.keepETag(uri, a.header.Get("ETag"), a.body)
	return r.remember(uri, a.body), nil
}

// outcomeOf returns the outcome of a reading. A failure is returned once; the next time, the
// BMC is asked again. The reading may have failed before the vendor of the machine was known.
func (r *Redfish) outcomeOf(d *reading) (*reading, error) {
	if d.err != nil && r.ahead == nil {
		d.stale = true // not discarded: what came with its collection may be older than our write
		var e *Error
		if errors.As(d.err, &e) {
			r.explain(e)
		}
	}
	return d, d.err
}

// Get reads a document into the caller's value.
func (r *Redfish) Get(ctx context.Context, uri Link, into any) error {
	d, err := r.document(ctx, uri)
	if err != nil {
		return err
	}
	return decode(http.MethodGet, uri, d.body, into)
}

// get reads a document that is used repeatedly: it is decoded once.
func get[T any](ctx context.Context, r *Redfish, uri Link) (*T, error) {
	d, err := r.document(ctx, uri)
	if err != nil {
		return nil, err
	}
	return into[T](d, uri)
}

// into decodes a reading, once. The value is shared.
func into[T any](d *reading, uri Link) (*T, error) {
	if value, ok := d.decoded.(*T); ok {
		return value, nil
	}
	value := new(T)
	if err := decode(http.MethodGet, uri, d.body, value); err != nil {
		return nil, err
	}
	d.decoded = value
	return value, nil
}

// lenient decodes JSON, cleans the texts in it, and accepts fields of a wrong type: BMCs
// have them, mostly in places that esxiplan does not need. Every document of a BMC passes here.
func lenient(body []byte, into any) error {
	err := json.Unmarshal(body, into)
	text.Value(into)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return nil
	}
	return err
}

// Decode is a json.Unmarshal that accepts fields of a wrong type.
func Decode(body []byte, into any) error { return lenient(body, into) }

func decode(method string, uri Link, body []byte, into any) error {
	if err := lenient(body, into); err != nil {
		return &Error{Request: method + " " + uri.shown(), Status: http.StatusOK, Messages: []Message{{Text: notJSON(body)}}}
	}
	return nil
}

func notJSON(body []byte) string {
	said := strings.Join(strings.Fields(text.Clean(string(body[:min(len(body), text.Most)]))), " ")
	switch {
	case said == "":
		return "the answer is empty"
	case said[0] == '<':
		return "it sent a web page instead of Redfish; is this the BMC's address?"
	}
	return "the answer is not JSON: " + text.Short(said, 80)
}

// keepETag notes a document's tag: that of the answer's header, else its own.
func (r *Redfish) keepETag(uri Link, tag string, body []byte) {
	if tag == "" && bytes.Contains(body, []byte("@odata.etag")) {
		var doc struct {
			Tag string `json:"@odata.etag"`
		}
		lenient(body, &doc)
		tag = doc.Tag
	}
	r.etags[uri.bare()] = tag
}
