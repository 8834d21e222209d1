package bmc

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/stmcginnis/gofish/schemas"
)

// Slots implements [Reader]: those of the system first, then the managers'.
func (r *Redfish) Slots(ctx context.Context) ([]Slot, error) {
	var out []Slot
	seen := map[Link]bool{} // some systems link to their manager's collection
	for _, uri := range r.media {
		err := r.members(ctx, uri, func(uri Link, d *reading) error {
			slot, err := into[slotDocument](d, uri)
			if err == nil && !seen[uri] {
				seen[uri] = true
				out = append(out, r.slot(uri, slot))
			}
			return nil
		})
		if err != nil && !absent(err) {
			return nil, err
		}
	}
	sortSlots(out)
	if f := r.rules.Flow; f != nil {
		s, has, err := f.Find(ctx, out)
		if has || err != nil {
			s.ID, s.Place, s.CD = f.ID, "manager", true
			return []Slot{s}, err
		}
	}
	return out, nil
}

// Distinct leaves out slots that read the same as another one but for their place, for people:
// some BMCs list their drives under the system and under its manager. One of the two may take
// an image that the other refuses.
func Distinct(slots []Slot) (out []Slot) {
	for _, s := range slots {
		twin := func(other Slot) bool {
			other.URI, other.Place = s.URI, s.Place
			return s == other
		}
		if !slices.ContainsFunc(out, twin) {
			out = append(out, s)
		}
	}
	return out
}

// byFlow reports a drive that a vendor's own flow provides.
func (r *Redfish) byFlow(s Slot) bool { return r.rules.Flow != nil && s.ID == r.rules.Flow.ID }

// sortSlots puts slots into the order in which they should be tried.
func sortSlots(slots []Slot) {
	slices.SortStableFunc(slots, func(a, b Slot) int {
		if a.CD != b.CD {
			return map[bool]int{true: -1, false: 1}[a.CD]
		}
		if a.Place != b.Place {
			return -strings.Compare(a.Place, b.Place) // "system" before "manager"
		}
		return strings.Compare(a.ID, b.ID)
	})
}

// Slot implements [Reader].
func (r *Redfish) Slot(ctx context.Context, s Slot) (Slot, error) {
	if r.byFlow(s) {
		slots, err := r.Slots(ctx)
		if err != nil || len(slots) == 0 {
			return s, err
		}
		return slots[0], nil
	}
	d, err := get[slotDocument](ctx, r, s.URI)
	if err != nil {
		return s, err
	}
	return r.slot(s.URI, d), nil
}

// drive is what a write to a slot needs to know, from when the slot was last read.
type drive struct {
	shown         Slot
	insert, eject Link // targets of the actions; "": no such action
	verifies      bool // checks the certificate of the image server
}

// slot parses a slot's document, and keeps what a later write needs.
func (r *Redfish) slot(uri Link, d *slotDocument) Slot {
	k := drive{insert: d.actionOf(d.Actions.Insert, "InsertVirtualMedia"), eject: d.actionOf(d.Actions.Eject, "EjectVirtualMedia"),
		verifies: d.Verify != nil && *d.Verify}
	s := Slot{URI: uri, ID: d.ID, Place: "manager", CD: r.takesCD(d, k)}
	if strings.HasPrefix(string(uri), string(r.system.bare())+"/") {
		s.Place = "system"
	}
	if d.Image != nil {
		s.Image = *d.Image
	}
	connected := d.ConnectedVia != "" && d.ConnectedVia != "NotConnected"
	s.Loaded = d.Inserted != nil && *d.Inserted || d.Inserted == nil && connected
	if !s.Loaded {
		s.Image = "" // some firmware leaves the name behind
	}
	s.Stick = len(d.MediaTypes) > 0 && !d.holdsCD()
	k.shown = s
	r.drives[uri] = k
	return s
}

// takesCD reports slots for a CD by URL. If firmware names no media types, the vendor decides,
// or the slot's action and name. A slot that can only be emptied takes nothing.
func (r *Redfish) takesCD(d *slotDocument, k drive) bool {
	fits := d.holdsCD()
	if len(d.MediaTypes) == 0 {
		fits = r.rules.SlotUsable != nil || k.insert != "" && opticalName.MatchString(d.ID+" "+d.Name)
	}
	if k.insert == "" && k.eject != "" {
		return false
	}
	return fits && (r.rules.SlotUsable == nil || r.rules.SlotUsable(d.ID, k.insert != ""))
}

// holdsCD reports a slot that names CD or DVD among its media.
func (d *slotDocument) holdsCD() bool {
	return slices.Contains(d.MediaTypes, schemas.CDVirtualMediaType) || slices.Contains(d.MediaTypes, schemas.DVDVirtualMediaType)
}

var opticalName = regexp.MustCompile(`(?i)(^|[^a-z])(cd|dvd)([^a-z]|$)`)

// drive is a slot as it was last read: reading it again would show no more.
func (r *Redfish) drive(ctx context.Context, s Slot) (drive, error) {
	if d, ok := r.drives[s.URI]; ok {
		return d, nil
	}
	_, err := r.Slot(ctx, s)
	return r.drives[s.URI], err
}

// actionOf finds an action of a slot: the standard's, else one in the Oem object that
// ends in the same word.
func (d *slotDocument) actionOf(standard action, suffix string) Link {
	if standard.Target != "" {
		return standard.Target
	}
	for _, raw := range d.Oem {
		var o struct{ Actions map[string]action }
		lenient(raw, &o)
		for name, a := range o.Actions {
			if strings.HasSuffix(name, suffix) {
				return a.Target
			}
		}
	}
	return ""
}

// Preparations implements [Reader]. A BMC that checks the certificate of the image
// server would refuse a self-signed one.
func (r *Redfish) Preparations(ctx context.Context, s Slot, url string) ([]Preparation, error) {
	out, err := r.uncheck(ctx, s, url)
	if err != nil || r.rules.Prepare == nil {
		return out, err
	}
	more, err := r.rules.Prepare(ctx, s, url)
	return append(out, more...), err
}

// uncheck lets a BMC take images from a server whose certificate is its own.
func (r *Redfish) uncheck(ctx context.Context, s Slot, url string) ([]Preparation, error) {
	if r.byFlow(s) {
		return nil, nil
	}
	d, err := r.drive(ctx, s)
	if err != nil {
		return nil, err
	}
	var out []Preparation
	if strings.HasPrefix(url, "https:") && d.verifies {
		out = append(out, NewPreparation(s.Name(), "checks the image server's certificate", "does not check it", func(ctx context.Context, w Command) error {
			return r.Patch(ctx, w, s.URI, map[string]any{"VerifyCertificate": false})
		}))
	}
	return out, nil
}

// prepare makes the settings that an insert needs.
func prepare(ctx context.Context, needs []Preparation, record Record) error {
	for _, p := range needs {
		if err := p.apply(ctx, p.write(record)); err != nil {
			return err
		}
	}
	return nil
}

// Scheme refuses an image whose URL has another scheme than the only one that a BMC
// takes; "" takes all, and a URL that is not known yet is not refused.
func Scheme(url, only string) error {
	if url == "" || only == "" || strings.HasPrefix(url, only+":") {
		return nil
	}
	return &ErrUnsupported{"this BMC fetches images by " + only + " only; publish them so (media.listen_tls, or a url that begins with " + only + ")"}
}

func (p Preparation) write(record Record) Command {
	return Command{Verb: VerbPrepare, Target: p.Target, Old: p.Old, New: p.New, Record: record}
}

// Insert implements [Client]. By action the smallest body goes first, and what
// the BMC asks for is added; without an action the slot is patched.
func (r *Redfish) Insert(ctx context.Context, s Slot, url string, record Record) error {
	needs, err := r.Preparations(ctx, s, url)
	if err == nil {
		err = prepare(ctx, needs, record)
	}
	if err != nil {
		return err
	}
	if r.byFlow(s) {
		return slotError(r.rules.Flow.Insert(ctx, InsertCommand(s, url, record), s))
	}
	d, err := r.drive(ctx, s)
	if err != nil {
		return err
	}
	body := map[string]any{"Image": url}
	for _, name := range r.rules.InsertFields {
		body[name] = insertValue(name, url)
	}
	w := InsertCommand(d.shown, url, record)
	if d.insert != "" {
		return slotError(adapt(body, url, w, func(w Command) error { return r.Post(ctx, w, d.insert, body) }))
	}
	body["Inserted"], body["WriteProtected"] = true, true
	return slotError(adapt(body, url, w, func(w Command) error { return r.Patch(ctx, w, s.URI, body) }))
}

// insertFields are what a BMC may want in addition to the image.
var insertFields = []string{"TransferProtocolType", "TransferMethod", "UserName", "Password", "Inserted", "WriteProtected"}

func insertValue(name, url string) any {
	switch name {
	case "TransferProtocolType":
		protocol, _, _ := strings.Cut(url, ":")
		return strings.ToUpper(protocol)
	case "TransferMethod":
		return "Stream"
	case "UserName", "Password":
		return "none"
	}
	return true
}

// adapt sends a body, and again with the fields that the BMC reports missing or without
// those that it does not know, each field at most once either way.
func adapt(body map[string]any, url string, w Command, send func(Command) error) error {
	tried := map[string]bool{}
	for {
		err := send(w)
		var e *Error
		if !errors.As(err, &e) || e.Status != http.StatusBadRequest && e.Status != http.StatusInternalServerError {
			return err
		}
		name := e.names(insertFields, tried)
		if name == "" {
			return err
		}
		tried[name] = true
		if _, there := body[name]; there {
			delete(body, name)
		} else {
			body[name] = insertValue(name, url)
		}
		w.Repeat = true
	}
}

// names finds the first word that the error mentions and that was not tried.
func (e *Error) names(words []string, tried map[string]bool) string {
	for _, word := range words {
		if !tried[word] && e.mentions(word) {
			return word
		}
	}
	return ""
}

// slotError marks answers that are about the slot: another slot may accept the image.
func slotError(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	unfit := e.Status == 400 && (e.Advice.Text == "" || e.Has("PropertyNotWritable", "PropertyUnknown", "ActionNotSupported"))
	if unfit || e.Status == 404 || e.Status == 405 {
		return &ErrSlot{err}
	}
	return err
}

// Eject implements [Client].
func (r *Redfish) Eject(ctx context.Context, s Slot, record Record) error {
	w := EjectCommand(s, record)
	if r.byFlow(s) {
		return r.Emptied(ctx, s, r.rules.Flow.Eject(ctx, w, s))
	}
	d, err := r.drive(ctx, s)
	if err != nil {
		return err
	}
	if d.eject != "" {
		return r.Emptied(ctx, s, r.Post(ctx, w, d.eject, struct{}{})) // an empty body is refused by some
	}
	body := map[string]any{"Image": nil, "Inserted": false}
	err = r.Patch(ctx, w, s.URI, body)
	var e *Error
	if errors.As(err, &e) && e.Status == http.StatusBadRequest && e.mentions("Inserted") {
		delete(body, "Inserted")
		w.Repeat = true
		err = r.Patch(ctx, w, s.URI, body)
	}
	return r.Emptied(ctx, s, err)
}

// EjectCommand empties a slot.
func EjectCommand(s Slot, r Record) Command {
	return Command{Verb: VerbEject, Target: s.Name(), Old: cmp.Or(s.Shown(), "unknown image"), Record: r}
}

// InsertCommand mounts an image in a slot.
func InsertCommand(s Slot, url string, r Record) Command {
	return Command{Verb: VerbInsert, Target: s.Name(), Old: s.Shown(), New: url, Record: r}
}

// Emptied judges the refusal of an eject: it returns nil when the slot reads empty.
func (r *Redfish) Emptied(ctx context.Context, s Slot, err error) error {
	var e *Error
	if !errors.As(err, &e) || e.Status == 0 {
		return err
	}
	if now, readErr := r.Slot(ctx, s); readErr == nil && !now.Loaded {
		return nil
	}
	return err
}
