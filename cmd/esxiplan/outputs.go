package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"esxiplan/cmd/internal/view"
)

// outputFlags are what a run writes next to what it shows.
type outputFlags struct {
	events  string
	reports reportFlag
}

func (f *outputFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.events, "events", "", "also write every event to this file, as JSON lines")
	f.reports.add(c, "at the end, also of a run that fails")
}

// views are all that show the events of the run: the one on the terminal, and files.
func (r *request) views() (view.View, error) {
	if err := r.flags.outputs.refuseInputs(r.sources()); err != nil {
		return nil, err
	}
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
		reports, err := r.reports()
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
	return names
}

// create makes a file for output that a flag asks for. Only its owner may read it: no secret
// gets into it, but the addresses of images do, which must not be known to others.
func (r *request) create(flag, name string) (*os.File, error) {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; name a file in a folder that exists and can be written", flag, err)
	}
	return file, nil
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
