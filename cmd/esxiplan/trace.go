package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"esxiplan/engine/bmc"
	"esxiplan/engine/private"
	"esxiplan/engine/secret"
	"esxiplan/engine/text"
)

// traceFlags say what is shown of the requests to BMCs.
type traceFlags struct {
	verbose int
	dir     string
}

func (f *traceFlags) add(c *cobra.Command) {
	c.Flags().CountVarP(&f.verbose, "verbose", "v", "show more: results of steps; -vv the requests to BMCs, -vvv with their bodies (secrets are masked)")
	c.Flags().StringVar(&f.dir, "trace", "", "folder for a file per host with all its requests and answers (secrets are masked)")
}

// tracer writes requests and answers, for people and into files.
type tracer struct {
	level int
	dir   string
	err   io.Writer
	mask  func(string) string

	follow func(host string, x bmc.Exchange) // gets every request, too; nil: it need not

	mu    sync.Mutex
	files map[string]*os.File
}

func newTracer(f traceFlags, err io.Writer, secrets *secret.Masker) (*tracer, error) {
	if f.dir != "" {
		if err := os.MkdirAll(f.dir, 0o700); err != nil {
			return nil, fmt.Errorf("--trace: %w", err)
		}
	}
	return &tracer{level: f.verbose, dir: f.dir, err: err, mask: secrets.Mask, files: map[string]*os.File{}}, nil
}

// above lets the requests that are shown come above a progress line.
func (t *tracer) above(line io.Writer) { t.err = line }

// of is the trace of one host, nil where nothing is to be traced.
func (t *tracer) of(host string) bmc.Trace {
	if t == nil || !t.writes() && t.follow == nil {
		return nil
	}
	return func(x bmc.Exchange) {
		if t.follow != nil {
			t.follow(host, x)
		}
		if t.writes() {
			t.write(host, x)
		}
	}
}

// writes reports that requests are shown or kept.
func (t *tracer) writes() bool { return t.level >= 2 || t.dir != "" }

func (t *tracer) write(host string, x bmc.Exchange) {
	line, bodies := text.Clean(t.mask(lineOf(x))), text.Lines(t.mask(bodiesOf(x))) // as they came: the door cleans what it decodes
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.level >= 2 {
		fmt.Fprintf(t.err, "%s  %s\n", host, line)
	}
	if t.level >= 3 {
		io.WriteString(t.err, bodies)
	}
	f := t.file(host)
	if f == nil {
		return
	}
	if _, err := fmt.Fprintf(f, "%s %s\n%s\n", x.Time.Format("15:04:05.000"), line, bodies); err != nil {
		fmt.Fprintf(t.err, "--trace: %v; the trace of %s ends here\n", err, host)
		f.Close()
		t.files[host] = nil
	}
}

func lineOf(x bmc.Exchange) string {
	answer := fmt.Sprint(x.Status)
	if x.Status == 0 {
		answer = fmt.Sprintf("no answer: %v", x.Err)
	}
	return fmt.Sprintf("%s %s → %s, %d ms", x.Method, x.Path, answer, x.Took.Milliseconds())
}

func bodiesOf(x bmc.Exchange) string {
	var b strings.Builder
	for _, part := range []struct{ sign, text string }{{">", x.IfMatch}, {">", x.Body}, {"<", x.ETag}, {"<", x.Location}, {"<", x.Answer}} {
		if said := strings.TrimSpace(part.text); said != "" {
			fmt.Fprintf(&b, "  %s %s\n", part.sign, strings.ReplaceAll(cut(said), "\n", "\n    "))
		}
	}
	return b.String()
}

// mostTraced is how much of a body is shown: several times the largest that is of use.
const mostTraced = 256 << 10

func cut(body string) string {
	if len(body) <= mostTraced {
		return body
	}
	return fmt.Sprintf("%s… (%d bytes more)", strings.ToValidUTF8(body[:mostTraced], ""), len(body)-mostTraced)
}

// file is the host's file. That it cannot be written is said once and ends no run.
func (t *tracer) file(host string) *os.File {
	if t.dir == "" {
		return nil
	}
	if f, ok := t.files[host]; ok {
		return f
	}
	name := strings.NewReplacer("/", "_", ":", "_", `\`, "_").Replace(host) + ".http"
	f, err := appendTo(t.dir, name)
	if err != nil {
		fmt.Fprintf(t.err, "--trace: %v\n", err)
	}
	t.files[host] = f
	return f
}

// appendTo opens a file in the folder of traces. The folder may lie in a checkout, so that no
// link in it is followed, and no pipe is waited for.
func appendTo(dir, name string) (*os.File, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return private.Append(root, name)
}

func (t *tracer) close() {
	for _, f := range t.files {
		if f != nil {
			f.Close()
		}
	}
}
