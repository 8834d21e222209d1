// Package insert is the step that mounts an image in a virtual drive.
package insert

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	neturl "net/url"
	"slices"
	"strings"
	"time"

	"esxiplan/engine/bmc"
	"esxiplan/engine/event"
	"esxiplan/engine/media"
	"esxiplan/engine/step"
	"esxiplan/schema"
)

//go:embed doc.md
var doc string

// settle is how long a BMC may take to show a mounted image.
const settle = 45 * time.Second

// Arguments of the step.
type Arguments struct {
	Image string  `json:"image" doc:"URL of the image, such as step.installer.url."`
	Slot  *string `json:"slot" doc:"Id of the slot. Default: the first that takes a CD."`
}

// Result of the step.
type Result struct {
	Slot     string `json:"slot" doc:"Id of the slot that holds the image."`
	Inserted bool   `json:"inserted" doc:"Whether it was newly inserted."`
	Read     *int64 `json:"read" doc:"How many bytes of the image were read since, which shows that the BMC reaches it; null where our server does not serve it. Some BMCs read nothing before the machine boots."`
}

// Type is the step type.
var Type = step.Define(step.Spec[Arguments, Result]{
	Name: "insert", Summary: "Mounts an image in the right virtual media slot and proves it by reading back.", Doc: doc,
	Most:    step.Effects{Writes: true, Mounts: true},
	Effects: func(c Arguments) step.Effects { return step.Effects{Writes: true, Mounts: true, Medium: c.Image} },
	Policy:  step.Policy{Retries: 4, Delay: 5 * time.Second, MaxDelay: 30 * time.Second, Timeout: 15 * time.Minute},
	Run:     run,
})

func run(ctx context.Context, h *step.Host, c Arguments) (Result, error) {
	unread, err := check(ctx, h, c.Image)
	if err != nil {
		return Result{}, err
	}
	if err := h.BMC.Prefetch(ctx, questions(h, c.Image)); err != nil {
		return Result{}, err
	}
	slots, err := candidates(ctx, h, c)
	if err != nil {
		return Result{}, err
	}
	r, err := mount(ctx, h, c, slots)
	if err != nil && unread != nil {
		err = fmt.Errorf("%w. The image could not be read from here either: %v", err, unread)
	}
	return r, err
}

// mount puts the image into the first of the slots that takes it.
func mount(ctx context.Context, h *step.Host, c Arguments, slots []bmc.Slot) (Result, error) {
	if s, ok := mounted(h, slots, c.Image); ok {
		err := fetched(ctx, h, c.Image)
		return Result{Slot: s.ID, Read: readSince(h, time.Time{})}, err
	}
	var refused []error
	for _, s := range slots {
		if s.Loaded {
			if err := makeRoom(ctx, h, s, c.Image); err != nil {
				return Result{}, err
			}
		}
		before := h.Now()
		err := h.BMC.Insert(ctx, s, c.Image)
		var other *bmc.ErrSlot
		if errors.As(err, &other) {
			refused = append(refused, err)
			continue
		}
		if err != nil {
			return Result{}, err
		}
		if err = loaded(ctx, h, s, c.Image); err == nil {
			err = fetched(ctx, h, c.Image)
		}
		return Result{s.ID, true, readSince(h, before)}, err
	}
	return Result{}, fmt.Errorf("no slot takes the image: %w", errors.Join(refused...))
}

// questions are those that come before an insert, guards included.
func questions(h *step.Host, image string) func(context.Context, bmc.Reader) {
	return func(ctx context.Context, r bmc.Reader) {
		if slots, err := r.Slots(ctx); err == nil && len(slots) > 0 {
			r.Preparations(ctx, slots[0], image)
		}
		r.License(ctx)
		h.BMC.BeforeWrites(ctx, r)
	}
}

// readSince is how much of the host's image was read since a moment.
func readSince(h *step.Host, t time.Time) *int64 {
	reads, known := h.Reads()
	if !known {
		return nil
	}
	bytes := reads.Since(t).Bytes
	return &bytes
}

// check reads the image through its URL as the BMC will. What the web server
// refuses, it will refuse to the BMC; that it cannot be reached from here says little, unless
// the BMC cannot read it either: unread is why.
func check(ctx context.Context, h *step.Host, url string) (unread, err error) {
	if !strings.HasSuffix(url, ".iso") && !media.IsNew(url) {
		return nil, schema.AtArgument("image", "%q does not end in .iso, which several BMCs demand", url)
	}
	if u, err := neturl.Parse(url); err != nil || u.User != nil {
		return nil, schema.AtArgument("image", "the image's URL must be valid and without user and password: it is written to the log and to the BMC; "+
			"serve the image without a login")
	}
	if h.Media == nil {
		return nil, nil
	}
	err = h.Media.Fetch(ctx, url)
	var fetch *media.ErrFetch
	if errors.As(err, &fetch) && !fetch.Final {
		h.Warn("the image could not be checked from here: %v", err)
		return fetch, nil
	}
	return nil, err
}

func candidates(ctx context.Context, h *step.Host, c Arguments) ([]bmc.Slot, error) {
	slots, err := h.BMC.Slots(ctx)
	if err != nil {
		return nil, err
	}
	var out []bmc.Slot
	var ids []string
	for _, s := range slots {
		ids = append(ids, s.ID)
		if c.Slot == nil && s.CD || c.Slot != nil && s.ID == *c.Slot {
			out = append(out, s)
		}
	}
	switch {
	case len(out) > 0:
		return out, nil
	case c.Slot != nil:
		return nil, schema.AtArgument("slot", "the BMC has no slot %q; it has %s", *c.Slot, strings.Join(ids, ", "))
	}
	return nil, step.CheckDrive(slots)
}

// fetched waits for a BMC that fetches the whole image when it mounts it, and demands that
// it came to the end: it calls a part of the image inserted, too. It is known only where we
// serve the image.
func fetched(ctx context.Context, h *step.Host, url string) error {
	if !h.Holds(url) {
		return nil
	}
	open, err := h.FetchEnds(ctx)
	var late *step.Unsettled
	switch {
	case h.Settings.DryRun:
		return nil // nothing comes to an end while it looks
	case err != nil && !errors.As(err, &late):
		return err
	case open != nil: // also when its server is there no longer
		return &partial{*open}
	}
	return errors.Join(err, cut(h, url))
}

// partial is an image of which the BMC has a part only.
type partial struct{ media.Fetch }

func (e *partial) Error() string {
	if e.Open {
		return fmt.Sprintf("the BMC says that the image is inserted, but it has not finished fetching it: %s, the last of it at %s", e.Fetch,
			e.At.Local().Format(time.TimeOnly))
	}
	what, next := e.Apart()
	return what + ". " + next
}

// Apart is what happened, and what to do about it.
func (e *partial) Apart() (what, next string) {
	if e.Open {
		return e.Error(), "Look what keeps the BMC from the server of the image, then run this again"
	}
	return "the BMC says that the image is inserted, but it fetched only " + e.Fetch.String() + " of it",
		"Find out what cuts the transfer between the BMC and the server of the image, then run this again"
}

// Retryable makes the engine mount the image again. One that is still being fetched was
// waited for long enough.
func (e *partial) Retryable() bool { return !e.Open }

// cut is the error of our image that the BMC began to fetch whole and did not.
func cut(h *step.Host, url string) error {
	if !h.Holds(url) {
		return nil
	}
	if reads, known := h.Reads(); known && reads.Cut != nil {
		return &partial{*reads.Cut}
	}
	return nil
}

// mounted finds the image where we put it ourselves. An image that we did not
// insert, or ejected since, may be a stale reading and does not count.
func mounted(h *step.Host, slots []bmc.Slot, url string) (bmc.Slot, bool) {
	i := slices.IndexFunc(slots, func(s bmc.Slot) bool { return ours(h, s, url) })
	if i < 0 || cut(h, url) != nil {
		return bmc.Slot{}, false
	}
	return slots[i], true
}

// ours reports that a slot holds the image by our own hand.
func ours(h *step.Host, s bmc.Slot, url string) bool {
	m, ok := h.History().MountIn(s)
	return ok && m.URL == url
}

// makeRoom ejects a stale mount of the very image; anything else in the slot belongs
// to someone else, and the eject step is there for it.
func makeRoom(ctx context.Context, h *step.Host, s bmc.Slot, url string) error {
	if s.Image != url && !ours(h, s, url) {
		return &step.Refusal{Guard: "medium", Reason: fmt.Sprintf("%s already holds %s", s.Name(), orUnknown(s.Image)), Next: "Run the step eject before insert"}
	}
	if err := h.BMC.Eject(ctx, s, event.Intent{All: true}); err != nil {
		return err
	}
	return h.Emptied(ctx, s)
}

func orUnknown(image string) string {
	if image == "" {
		return "an unknown image"
	}
	return image
}

// loaded waits until the slot reads as holding the image. Some BMCs do not tell
// which image it is.
func loaded(ctx context.Context, h *step.Host, s bmc.Slot, url string) error {
	err := h.Until(ctx, settle, s.Name()+" reads as holding the image", func(ctx context.Context) (bool, error) {
		now, err := h.BMC.Slot(ctx, s)
		return now.Loaded && (now.Image == url || now.Image == ""), err
	})
	var late *step.Unsettled
	if errors.As(err, &late) {
		return fmt.Errorf("the BMC answered the insert with success, and does not show the image: %w", err)
	}
	return err
}
