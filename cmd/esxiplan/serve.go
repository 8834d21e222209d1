package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

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

With --listen-tls and without --certificate a certificate is made and kept in DIR/.esxiplan.`,
		Example: "  esxiplan serve /srv/iso\n  esxiplan serve /srv/iso --listen 172.20.17.20:80 --listen-tls 172.20.17.20:443 --allow 10.172.18.191",
		Args:    cobra.ExactArgs(1),
		RunE:    func(_ *cobra.Command, args []string) error { return a.serve(args[0], f) },
	}
	c.Flags().StringVar(&f.listen, "listen", "0.0.0.0:8090", `address and port for HTTP; "" for none`)
	c.Flags().StringVar(&f.listenTLS, "listen-tls", "", "address and port for HTTPS, such as 0.0.0.0:8443")
	c.Flags().StringVar(&f.certificate, "certificate", "", "certificate for HTTPS, PEM (default: one made here)")
	c.Flags().StringVar(&f.key, "key", "", "key of that certificate, PEM")
	c.Flags().StringArrayVar(&f.allow, "allow", nil, `who may read beside an image's own BMC: an address, a network, a name, or "any"`)
	return c
}

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
	sockets, err := media.Listen(f.listen, f.listenTLS, f.certificate, f.key, filepath.Join(dir, ".esxiplan"))
	if err != nil {
		return err
	}
	soft, hard, stop := interrupts(func(text string) { fmt.Fprintln(a.streams.Err, text) })
	defer stop()
	server := media.ServeDirectory(media.DirectoryServerOptions{Sockets: sockets, Dir: dir, Allow: f.allow, Log: a.logServed})
	var at []string
	if sockets.HTTP != nil {
		at = append(at, "http://"+sockets.HTTP.Addr().String())
	}
	if sockets.HTTPS != nil {
		at = append(at, "https://"+sockets.HTTPS.Addr().String())
	}
	fmt.Fprintf(a.streams.Err, "serving %s on %s\n", dir, strings.Join(at, " and "))
	select {
	case err = <-server.Failed():
	case <-soft.Done():
	}
	server.Close(hard)
	return err
}

// logServed writes a line per client and second, or per refused request, whose path is
// anybody's text.
func (a *app) logServed(s media.Served) {
	switch {
	case s.Refused == "":
		fmt.Fprintf(a.streams.Err, "%s read %d bytes of %s in %d requests\n", s.Client, s.Bytes, s.Path, s.Requests)
	case s.Client == "":
		fmt.Fprintf(a.streams.Err, "%s\n", s.Refused)
	default:
		fmt.Fprintf(a.streams.Err, "%s %q: %s\n", s.Client, s.Path, s.Refused)
	}
}
