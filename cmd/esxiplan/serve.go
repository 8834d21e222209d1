package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"esxiplan/engine/media"
)

// serveFlags say how a directory is served.
type serveFlags struct {
	listen, listenTLS, certificate, key string
	allow                               []string
}

func (a *app) serveCommand() *cobra.Command {
	var f serveFlags
	c := &cobra.Command{
		Use:   "serve DIR",
		Short: "Serve published images to BMCs",
		Long: `Serve a directory into which build_iso publishes (media.directory), so that no other web server is needed.
Only published images are served, by their whole path; there is no index, and the manifest is not served. It is
also the only server that can serve store = "overlay", where a host costs a few KB instead of a whole image.

What is read is noted in the directory, where every run on it finds it: so wait can say how much of the image was
read, and by whom, or that it never was. An image is for its host's BMC and for this machine itself; --allow adds
addresses, networks such as 10.0.0.0/8, or "any": the machine that builds, where it is another one.

With --listen-tls and without --certificate a certificate is made and kept in DIR/.esxiplan.

Only what a manifest in DIR/.esxiplan names is served, and only regular files: a link that leads out of DIR is
not followed. ` + boundsHelp() + `

Refused requests are logged 20 at once and one a second after that; the others are counted. On SIGTERM or Ctrl-C
answers under way may continue for ` + seconds(media.DefaultBounds().End) + `, a second Ctrl-C ends them at once.`,
		Example: "  esxiplan serve /srv/iso\n  esxiplan serve /srv/iso --listen 172.20.17.20:80 --listen-tls 172.20.17.20:443 --allow 10.172.18.191",
		Args:    cobra.ExactArgs(1),
		RunE:    func(_ *cobra.Command, args []string) error { return a.serve(args[0], f) },
	}
	c.Flags().StringVar(&f.listen, "listen", "0.0.0.0:8090", `address and port for HTTP; "" for none`)
	c.Flags().StringVar(&f.listenTLS, "listen-tls", "", "address and port for HTTPS, such as 0.0.0.0:8443")
	c.Flags().StringVar(&f.certificate, "certificate", "", "certificate for HTTPS, PEM (default: one made here)")
	c.Flags().StringVar(&f.key, "key", "", "key of that certificate, PEM")
	c.Flags().StringArrayVar(&f.allow, "allow", nil, `who may read in addition to an image's own BMC: an address, a network, a name, or "any"`)
	return c
}

// boundsHelp says what clients may have.
func boundsHelp() string {
	b := media.DefaultBounds()
	return fmt.Sprintf(`A server has at most %d connections, and as many requests (fewer where ulimit -n is
below %d), %d from one address, so that a rack of BMCs may stand behind one, and %d on which no
image was served yet; this machine's own addresses are bound by the first number only. Where a bound is reached,
a new connection takes the place of one that waits for a request, or whose answer has not moved for 10 s. An
answer may take as long as it takes, but a client that takes no byte for %s is disconnected.`,
		b.Connections, b.Connections*media.PerConnection+ownDescriptors, b.PerClient, b.Strangers, seconds(b.Stall))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.0f s", d.Seconds()) }

func (a *app) serve(dir string, f serveFlags) error {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return fmt.Errorf("%s is not a directory that can be served", dir)
	}
	if f.listen == "" && f.listenTLS == "" {
		return fmt.Errorf("nothing to listen on: give --listen or --listen-tls")
	}
	if (f.certificate == "") != (f.key == "") {
		return fmt.Errorf("--certificate and --key go together")
	}
	if err := media.CheckAllowed(f.allow); err != nil {
		return fmt.Errorf("--allow: %w", err)
	}
	if err := media.CheckReadable(dir); err != nil {
		return err
	}
	bounds, err := serveBounds()
	if err != nil {
		return err
	}
	sockets, err := media.Listen(f.listen, f.listenTLS, f.certificate, f.key, filepath.Join(dir, ".esxiplan"))
	if err != nil {
		return err
	}
	lines := newLines(a.streams.Err)
	defer lines.end()
	soft, hard, stop := interrupts(func(string) {
		lines.write("ending: answers under way may continue for " + seconds(bounds.End) + "; press Ctrl-C again to end now\n")
	})
	defer stop()
	server := media.ServeDirectory(media.DirectoryServerOptions{Sockets: sockets, Dir: dir, Allow: f.allow, Bounds: bounds, Log: lines.served})
	var at []string
	if sockets.HTTP != nil {
		at = append(at, "http://"+sockets.HTTP.Addr().String())
	}
	if sockets.HTTPS != nil {
		at = append(at, "https://"+sockets.HTTPS.Addr().String())
	}
	lines.write(fmt.Sprintf("serving %s on %s\n", dir, strings.Join(at, " and ")))
	select {
	case err = <-server.Failed():
	case <-soft.Done():
	}
	server.Close(hard)
	return err
}

// lines writes what a server says, in the order in which it comes. Whoever reads it may have
// stopped: then lines are dropped, and neither the server nor its end waits.
type lines struct {
	to      io.Writer
	queue   chan string
	dropped atomic.Int64
	last    chan struct{} // closed when nothing more is worth writing
	done    chan struct{}
}

func newLines(to io.Writer) *lines {
	l := &lines{to: to, queue: make(chan string, 1000), last: make(chan struct{}), done: make(chan struct{})}
	go l.pass()
	return l
}

// pass passes on what is queued, after the last line what is left of it.
func (l *lines) pass() {
	defer close(l.done)
	for {
		select {
		case text := <-l.queue:
			l.put(text)
		case <-l.last:
			for len(l.queue) > 0 { // only this goroutine takes from it
				l.put(<-l.queue)
			}
			return
		}
	}
}

func (l *lines) put(text string) {
	if n := l.dropped.Swap(0); n > 0 {
		text = fmt.Sprintf("%d lines are missing here: they were not read in time\n%s", n, text)
	}
	write(l.to, text)
}

func (l *lines) write(text string) {
	select {
	case l.queue <- text:
	default:
		l.dropped.Add(1)
	}
}

// end writes what is left, if it is read within a second. What comes after it may be lost.
func (l *lines) end() {
	close(l.last)
	select {
	case <-l.done:
	case <-time.After(time.Second):
	}
}

// served writes a line per client and second, or per refused request, whose path is
// anybody's text.
func (l *lines) served(s media.Served) {
	switch {
	case s.Refused == "":
		l.write(fmt.Sprintf("%s read %d bytes of %s in %d requests\n", s.Client, s.Bytes, s.Path, s.Requests))
	case s.Client == "":
		l.write(s.Refused + "\n")
	case s.Path == "":
		l.write(s.Client + ": " + s.Refused + "\n")
	default:
		l.write(fmt.Sprintf("%s %q: %s\n", s.Client, s.Path, s.Refused))
	}
}
