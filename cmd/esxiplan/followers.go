package main

import (
	"context"
	"fmt"
	"regexp"
	"sync"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/notify"
)

// atEnd bounds how long what follows a run may take once the run is over.
const atEnd = 5 * time.Second

// outward takes out of a text what must not leave this machine: secrets, and the part
// of the URL of a published image by which it cannot be guessed.
func (a *app) outward(text string) string {
	return imageToken.ReplaceAllString(a.secrets.Mask(text), "/…/")
}

// imageToken is that part, in the path of the URL.
var imageToken = regexp.MustCompile(`/[0-9a-f]{32}/`)

// followers get the events of a run next to its view, and send them elsewhere. What goes wrong
// there is a warning: it never delays or fails the run.
type followers struct {
	*app
	notify *notify.Sink // nil: there is no target
}

// follow begins to follow a run. An error is one of usage, before anything was started.
func (r *request) follow() (*followers, error) {
	f := &followers{app: r.app}
	var err error
	f.notify, err = r.notifier()
	return f, err
}

// show adds the followers to a view.
func (f *followers) show(view func(event.Event)) func(event.Event) {
	return func(e event.Event) {
		view(e)
		if f.notify != nil {
			f.notify.Event(e)
		}
	}
}

// close ends what follows the run, and says what did not arrive.
func (f *followers) close() {
	ctx, cancel := context.WithTimeout(context.Background(), atEnd)
	defer cancel()
	var work sync.WaitGroup
	var undelivered []string
	if f.notify != nil {
		work.Go(func() { undelivered = f.notify.Close(ctx) })
	}
	work.Wait()
	for _, line := range undelivered {
		fmt.Fprintf(f.streams.Err, "warning: %s\n", line)
	}
}
