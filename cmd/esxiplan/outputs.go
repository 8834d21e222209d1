package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"esxiplan/cmd/internal/metrics"
	"esxiplan/cmd/internal/view"
)

// outputFlags are what a run writes next to what it shows.
type outputFlags struct {
	events  string
	metrics string
	reports reportFlag
}

func (f *outputFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.events, "events", "", "also write every event to this file, as JSON lines")
	c.Flags().StringVar(&f.metrics, "metrics", "", "write what the run came to into a file, every minute and at the end, for the textfile collector of Prometheus' node_exporter (*.prom)")
	f.reports.add(c, "at the end, also of a run that fails")
}

// outputFile is a file that a flag names.
type outputFile struct {
	flag  string
	given string // its value
	holds string // what goes into the file
	path  string // where it is: links are followed
}

// files are all files that are written.
func (f *outputFlags) files() (all []outputFile) {
	if f.events != "" {
		all = append(all, outputFile{"--events", f.events, "events", resolved(f.events)})
	}
	if f.metrics != "" {
		all = append(all, outputFile{"--metrics", f.metrics, "metrics", resolved(f.metrics)})
	}
	for _, r := range f.reports.files { // each of which has a file of its own
		all = append(all, outputFile{"--report", string(r.kind) + "=" + r.name, "report", r.path})
	}
	return all
}

// check refuses outputs that cannot be written, or that a dry run does not have.
func (f *outputFlags) check(dry bool) error {
	if err := f.checkDry(dry); err != nil {
		return err
	}
	if err := f.reports.check(); err != nil {
		return err
	}
	if f.metrics != "" {
		if err := metrics.Check(resolved(f.metrics)); err != nil {
			return fmt.Errorf("--metrics: %w", err)
		}
	}
	return f.checkOwn()
}

// checkDry refuses what a dry run does not have.
func (f *outputFlags) checkDry(dry bool) error {
	switch {
	case !dry:
	case len(f.reports.given) > 0:
		return errors.New("--report tells what a run did: a dry run shows what one would do with -o json or -o markdown")
	case f.events != "":
		return errors.New("--events tells what a run did: a dry run writes its events with -o jsonl")
	case f.metrics != "":
		return errors.New("--metrics says what a run came to: it cannot be combined with --dry-run")
	}
	return nil
}

// checkOwn refuses a file into which two outputs would go.
func (f *outputFlags) checkOwn() error {
	files := f.files()
	for i, file := range files {
		if j := slices.IndexFunc(files[:i], func(o outputFile) bool { return o.path == file.path }); j >= 0 {
			return fmt.Errorf("%s %s: the %s go into this file (%s): name another one", file.flag, file.given, files[j].holds, files[j].flag)
		}
	}
	return nil
}

// refuseInputs refuses outputs that would replace a file which the run reads.
func (f *outputFlags) refuseInputs(inputs []string) error {
	read := map[string]bool{}
	for _, name := range inputs {
		read[resolved(name)] = true
	}
	for _, file := range f.files() {
		if read[file.path] {
			return fmt.Errorf("%s %s: the run reads this file: name another one", file.flag, file.given)
		}
	}
	return nil
}

// views are all that show the events of the run: the one on the terminal, and files.
func (r *request) views() (view.View, error) {
	r.connect()
	shown, err := view.New(r.flags.output, r.streams)
	if err != nil {
		return nil, err
	}
	if v, draws := shown.(interface{ Restore() }); draws {
		r.leave = v.Restore
	}
	all := view.All{shown}
	if name := r.flags.outputs.events; name != "" {
		file, err := r.create("--events", name)
		if err != nil {
			return nil, err
		}
		out := view.NewOutput(file)
		all = append(all, &fileView{View: view.Lines(out), out: out, file: file, what: "--events " + name})
	}
	if len(r.flags.outputs.reports.files) > 0 {
		reports, err := r.recordReports()
		if err != nil {
			return nil, err
		}
		all = append(all, reports)
	}
	return all, nil
}

// sources are the files that the run reads.
func (r *request) sources() []string {
	names := slices.Concat(slices.Collect(maps.Keys(r.plan.Files)), r.paths, r.flags.files)
	if r.saved != nil {
		names = append(names, r.saved.file)
	}
	if r.flags.sim != "" {
		names = append(names, r.flags.sim)
	}
	return names
}

// create makes a file for output that a flag asks for. Only its owner may read it: no secret
// gets into it, but the addresses of images do, which must not be known to others.
func (r *request) create(flag, name string) (*os.File, error) {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; name a file in a folder that exists and can be written", flag, err)
	}
	if err := restrict(file); err != nil {
		file.Close()
		return nil, fmt.Errorf("%s: other users may read the file, and this cannot be changed: %w; name a file of your own", flag, err)
	}
	return file, nil
}

// restrict takes the rights of others from a file that may have existed before, and empties it.
// A device or a pipe keeps its rights.
func restrict(file *os.File) error {
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	if err := file.Chmod(0o600); err != nil {
		return err
	}
	return file.Truncate(0)
}

// fileView is a view with the file that it writes.
type fileView struct {
	view.View
	out  *view.Output // remembers what could not be written
	file io.Closer
	what string // flag and name, for errors
}

// Close implements [view.View].
func (v *fileView) Close() error {
	if err := errors.Join(v.View.Close(), v.out.Lost(), v.file.Close()); err != nil {
		return fmt.Errorf("%s: the file is not whole: %w; what was done to machines is not affected", v.what, err)
	}
	return nil
}
