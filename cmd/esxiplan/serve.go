package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"esxiplan/engine/media"
)

func (a *app) serveCommand() *cobra.Command {
	var listen string
	var allow []string
	c := &cobra.Command{
		Use:   "serve DIR",
		Short: "Serve published images to BMCs",
		Long: `Serve a directory into which build_iso publishes (media.directory), so that no other web server is needed.
Only published images are served, by their whole path; there is no index, and the manifest is not served.`,
		Example: "  esxiplan serve /srv/iso --listen 0.0.0.0:8090 --allow 10.172.18.191",
		Args:    cobra.ExactArgs(1),
		RunE:    func(_ *cobra.Command, args []string) error { return a.serve(args[0], listen, allow) },
	}
	c.Flags().StringVar(&listen, "listen", "0.0.0.0:8090", "address and port")
	c.Flags().StringArrayVar(&allow, "allow", nil, "address that may read, beside this machine (default: everybody)")
	return c
}

func (a *app) serve(dir, listen string, allow []string) error {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return fmt.Errorf("%s is not a directory that can be served", dir)
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	logged := func(r *http.Request, bytes int64) {
		fmt.Fprintf(a.streams.Err, "%s %s %s %s %d bytes\n", r.RemoteAddr, r.Method, r.URL.Path, r.Header.Get("Range"), bytes)
	}
	server := &http.Server{Handler: media.ServeDirectory(dir, allow, logged), ReadHeaderTimeout: 20 * time.Second, IdleTimeout: 2 * time.Minute}
	soft, hard, stop := interrupts(func(text string) { fmt.Fprintln(a.streams.Err, text) })
	defer stop()
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	fmt.Fprintf(a.streams.Err, "serving %s on http://%s\n", dir, l.Addr())
	select {
	case err := <-failed:
		return err
	case <-soft.Done():
	}
	return server.Shutdown(hard)
}
