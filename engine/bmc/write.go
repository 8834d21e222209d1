package bmc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/stmcginnis/gofish/schemas"

	"esxiplan/engine/text"
)

// Verb is what a write does.
type Verb string

// The verbs of this door.
const (
	VerbEject   Verb = "eject"
	VerbInsert  Verb = "insert"
	VerbBoot    Verb = "boot"    // sets or clears the boot source override
	VerbReset   Verb = "reset"   // changes the power
	VerbPrepare Verb = "prepare" // sets what an insert needs to be otherwise
)

// Command is a write that the door asks to have recorded before it sends the request. It
// holds states and URLs only, no secret.
type Command struct {
	Verb     Verb
	Target   string // of the verb: "slot CD1", "source", "power"
	Old, New string // states, as far as there are any: "Off", "cd", a URL
	Request  string // "POST /redfish/v1/…", "" in a dry run
	Repeat   bool   // the same write in another form, after the BMC refused the first
	Record   Record // how it is recorded; nil: not at all, and no request is made
}

// Fate is the outcome of a write.
type Fate string

// A write was done, refused (certainly not done), or its fate is unknown: its answer was
// lost, or says only that something failed.
const (
	Done    Fate = "done"
	Refused Fate = "refused"
	Unknown Fate = "unknown"
)

// Record makes a command durable; when it fails, the request is not sent. The
// caller passes the outcome to settle, once.
type Record func(context.Context, Command) (settle func(Fate), err error)

// begin records a command that is about to be sent.
func (w Command) begin(ctx context.Context) (settle func(Fate), err error) {
	if w.Record == nil {
		return nil, fmt.Errorf("%s %s has no record, so the request was not sent; this is a bug in esxiplan", w.Verb, w.Target)
	}
	return w.Record(ctx, w)
}

// fateOf judges the answer to a write. A login that was refused meanwhile, or a
// certificate, kept the request from being made.
func fateOf(err error) Fate {
	var answered *Error
	var login *ErrLogin
	var certificate *ErrCertificate
	switch {
	case err == nil:
		return Done
	case errors.As(err, &login), errors.As(err, &certificate):
		return Refused
	case errors.As(err, &answered) && answered.Refused():
		return Refused
	}
	return Unknown
}

// write records and sends a state-changing request. The end of ctx does not cancel the
// request once it is under way: what was sent must be known. What was read before it no
// longer counts.
func (r *Redfish) write(ctx context.Context, w Command, method string, uri Link, body any, header map[string]string) (answer, error) {
	if err := ctx.Err(); err != nil {
		return answer{}, err
	}
	at, err := r.origin.path(uri)
	if err != nil {
		return answer{}, err
	}
	if err := r.connect(ctx); err != nil {
		return answer{}, err
	}
	w.Request = method + " " + at.text
	settle, err := w.begin(ctx)
	if err != nil {
		return answer{}, err
	}
	sent := context.WithoutCancel(ctx)
	a, err := r.again(sent, func() (answer, error) { return r.request(sent, method, at, body, header) })
	r.changed(w.Verb, method, uri)
	var e *Error
	if errors.As(err, &e) {
		e.written = true
	}
	if err == nil {
		err = r.await(ctx, a)
	}
	if errors.As(err, &e) {
		e.Op = string(w.Verb) + " " + w.Target
	}
	settle(fateOf(err))
	return a, err
}

// changed discards what was read of what a write may have changed: of a drive, those that
// held something, because a BMC may show one in two places; of a boot source, where it was
// written; of anything else, everything. Media and boot source move the computer system's tag.
func (r *Redfish) changed(verb Verb, method string, uri Link) {
	var doubtful []Link
	switch {
	case verb == VerbInsert || verb == VerbEject:
		doubtful = r.drivesAt(uri)
	case verb == VerbBoot && method == http.MethodPatch:
		doubtful = []Link{uri, r.settingsAt}
	}
	if len(doubtful) == 0 {
		r.Refresh(0)
		return
	}
	for _, l := range append(doubtful, r.system) {
		r.doubt(l)
	}
}

// drivesAt are the drives that a write to a drive may have changed: that one, those that held
// something, and those with its name in another place. None if it is unknown
// which drive was written to.
func (r *Redfish) drivesAt(uri Link) (out []Link) {
	written := map[string]bool{}
	for at, d := range r.drives {
		if strings.HasPrefix(string(uri), string(at.bare())+"/") || uri.same(at) {
			written[d.shown.ID] = true
		}
	}
	if len(written) == 0 {
		return nil
	}
	for at, d := range r.drives {
		if d.shown.Loaded || written[d.shown.ID] {
			out = append(out, at)
		}
	}
	return out
}

// Post calls an action. Actions take no If-Match: some BMCs answer 412 to any.
func (r *Redfish) Post(ctx context.Context, w Command, uri Link, body any) error {
	_, err := r.write(ctx, w, http.MethodPost, uri, body, nil)
	return err
}

// Ask calls an action that changes nothing and only answers.
func (r *Redfish) Ask(ctx context.Context, uri Link, body, into any) error {
	at, err := r.origin.path(uri)
	if err != nil {
		return err
	}
	a, err := r.again(ctx, func() (answer, error) { return r.request(ctx, http.MethodPost, at, body, nil) })
	if err != nil {
		return err
	}
	return decode(http.MethodPost, uri, a.body, into)
}

// Patch changes a resource, with the ETag of the last read. When the BMC rejects
// it, Patch tries the tag read again, its other forms, then none at all; a BMC that
// demands a tag (428) gets the one read again, then "*".
func (r *Redfish) Patch(ctx context.Context, w Command, uri Link, body any) error {
	tags := []string{r.etags[uri.bare()]}
	for try := 0; ; try++ {
		header := map[string]string{}
		if tags[try] != "" {
			header["If-Match"] = tags[try]
		}
		_, err := r.write(ctx, w, http.MethodPatch, uri, body, header)
		var e *Error
		if !errors.As(err, &e) || e.Status != http.StatusPreconditionFailed && e.Status != http.StatusPreconditionRequired {
			return err
		}
		if try == 0 {
			tags = append(tags, r.fallbackTags(ctx, uri, e.Status)...)
		}
		if try+1 >= len(tags) {
			return err
		}
		w.Repeat = true
	}
}

// fallbackTags lists further tags to try. The one read again comes first, even if it is
// the one that was tried: the document may have changed and changed back.
func (r *Redfish) fallbackTags(ctx context.Context, uri Link, status int) []string {
	var ignored struct{}
	if r.Get(ctx, uri, &ignored) != nil {
		return nil
	}
	read := r.etags[uri.bare()]
	strong := strings.TrimPrefix(read, "W/")
	candidates := []string{read, strong, strings.Trim(strong, `"`), "", "*"}
	if status == http.StatusPreconditionRequired {
		candidates = []string{read, "*"}
	}
	var out []string
	for _, c := range candidates {
		if !slices.Contains(out, c) && (c != "" || status == http.StatusPreconditionFailed) {
			out = append(out, c)
		}
	}
	return out
}

// How long a task may take and how often it is looked at; a task that was just made
// may not be there yet.
const (
	taskTakes   = 10 * time.Minute
	taskPause   = 2 * time.Second
	taskMissing = 3
)

// await follows the task that a BMC started instead of executing the request at once. The
// header or the body names the task. A task that vanished has ended; reading back shows
// how. A BMC that stumbles is asked again: the task continues.
func (r *Redfish) await(ctx context.Context, a answer) error {
	at, err := r.taskOf(a)
	if err != nil || at == (path{}) {
		return err
	}
	end, missing := r.o.Now().Add(taskTakes), 0
	for r.o.Now().Before(end) {
		t, status, err := r.task(ctx, at)
		var e *Error
		switch {
		case errors.As(err, &e) && e.Status == http.StatusNotFound && missing < taskMissing:
			missing++
		case errors.As(err, &e) && e.Status == http.StatusNotFound:
			return nil
		case errors.As(err, &e) && e.Retryable():
		case err != nil:
			return err
		case status != http.StatusAccepted && t.over():
			return r.verdict(at, t)
		}
		if err := r.o.Sleep(ctx, taskPause); err != nil {
			return err
		}
	}
	return &Error{Request: "GET " + at.text, Status: http.StatusAccepted, Messages: []Message{{Text: "the BMC's task has not ended after " + text.Duration(taskTakes)}}}
}

// taskOf is where the task is that an answer names; the zero value: it names none.
func (r *Redfish) taskOf(a answer) (path, error) {
	if a.status != http.StatusAccepted {
		return path{}, nil
	}
	if at := a.header.Get("Location"); at != "" {
		return r.origin.located(Link(at))
	}
	var t taskDocument
	lenient(a.body, &t)
	if t.URI == "" {
		return path{}, nil
	}
	return r.origin.path(t.URI)
}

func (r *Redfish) task(ctx context.Context, at path) (taskDocument, int, error) {
	var t taskDocument
	a, err := r.read(ctx, at)
	if err != nil {
		return t, 0, err
	}
	if len(a.body) > 0 {
		err = decode(http.MethodGet, Link(at.text), a.body, &t)
	}
	return t, a.status, err
}

// over reports that a task has ended. One that shows no state is a monitor that
// became the answer of the request.
func (t taskDocument) over() bool {
	switch t.State {
	case schemas.NewTaskState, schemas.StartingTaskState, schemas.RunningTaskState, schemas.PendingTaskState, schemas.StoppingTaskState,
		schemas.SuspendedTaskState, schemas.ServiceTaskState, schemas.CancellingTaskState:
		return t.EndTime != "" && !strings.HasPrefix(t.EndTime, "0000")
	}
	return true
}

// verdict turns a failed task into an error. Some services complete tasks with
// a message that says why nothing was done.
func (r *Redfish) verdict(at path, t taskDocument) error {
	messages := messageList(t.Messages)
	failed := slices.Contains([]schemas.TaskState{schemas.ExceptionTaskState, schemas.KilledTaskState, schemas.CancelledTaskState}, t.State) ||
		t.Status == "Critical"
	failed = failed || slices.ContainsFunc(messages, func(m Message) bool { return m.Severity == "Critical" || m.Severity == "Warning" })
	if !failed {
		return nil
	}
	messages = append(messages, Message{Text: "the BMC's task ended as " + string(t.State)})
	e := &Error{Request: "GET " + at.text, Status: http.StatusInternalServerError, Messages: messages, written: true}
	r.explain(e)
	return e
}
