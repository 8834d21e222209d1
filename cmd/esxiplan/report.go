package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"esxiplan/cmd/internal/view"
	"esxiplan/cmd/internal/view/report"
	"esxiplan/engine/event"
	"esxiplan/engine/log"
	"esxiplan/engine/proposal"
	"esxiplan/engine/state"
)

// reportFlag is --report, which may be given several times.
type reportFlag struct {
	given []string     // KIND=FILE
	files []reportFile // as check understands them
}

// reportFile is a report that is wanted.
type reportFile struct {
	kind report.Kind
	name string // of the file, as it was given
	path string // where it is: links are followed
}

// add adds the flag to a command; when is when the report is written.
func (f *reportFlag) add(c *cobra.Command, when string) {
	c.Flags().StringArrayVar(&f.given, "report", nil, "write a report "+when+": KIND=FILE with the kind "+reportKinds()+"; may be given several times")
}

func reportKinds() string {
	var names []string
	for _, k := range report.Kinds {
		names = append(names, string(k))
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// check understands what was given, and refuses what could not be written.
func (f *reportFlag) check() error {
	f.files = nil
	for _, given := range f.given {
		file, err := readReport(given)
		if err == nil {
			err = f.checkOwn(file)
		}
		if err == nil {
			err = file.checkWritable()
		}
		if err != nil {
			return fmt.Errorf("--report %s: %w", given, err)
		}
		f.files = append(f.files, file)
	}
	return nil
}

func readReport(given string) (reportFile, error) {
	kind, name, found := strings.Cut(given, "=")
	switch {
	case !found:
		return reportFile{}, fmt.Errorf("write KIND=FILE, such as html=report.html; kinds are %s", reportKinds())
	case !slices.Contains(report.Kinds, report.Kind(kind)):
		return reportFile{}, fmt.Errorf("there is no report %q; there are %s", kind, reportKinds())
	case name == "":
		return reportFile{}, errors.New("the name of the file is empty: is a variable not set?")
	}
	return reportFile{report.Kind(kind), name, resolved(name)}, nil
}

// checkOwn refuses a file that is that of another report.
func (f *reportFlag) checkOwn(file reportFile) error {
	if i := slices.IndexFunc(f.files, func(other reportFile) bool { return other.path == file.path }); i >= 0 {
		return fmt.Errorf("the report %s goes into this file: give each report a file of its own", f.files[i].kind)
	}
	return nil
}

// checkWritable refuses what is not a file, and a folder in which none can be made.
func (f reportFile) checkWritable() error {
	if info, err := os.Stat(f.path); err == nil && !info.Mode().IsRegular() {
		return errors.New("it is not a regular file; name a file that may be replaced")
	}
	probe, err := f.temporary()
	if err != nil {
		return fmt.Errorf("%w; name a file in a folder that exists and can be written", err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// temporary makes the file that takes the place of the report when it is whole. Other users may
// read it, unless the umask forbids it: no secret is in it.
func (f reportFile) temporary() (*os.File, error) {
	name := filepath.Join(filepath.Dir(f.path), ".esxiplan-report-"+rand.Text())
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
}

// write writes a report as a whole or not at all.
func (f reportFile) write(r *report.Recorder, about report.About) (err error) {
	out, err := f.temporary()
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(out.Name())
		}
	}()
	var whole bytes.Buffer
	err = r.Write(&whole, f.kind, about)
	if err == nil {
		_, err = out.Write(imageToken.ReplaceAll(whole.Bytes(), []byte("/…/"))) // whoever reads a report must not fetch images
	}
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return err
	}
	return os.Rename(out.Name(), f.path)
}

// resolved is where a file is, with links followed as far as they exist.
func resolved(name string) string {
	path, err := filepath.EvalSymlinks(name)
	if err != nil {
		path = name
		if folder, err := filepath.EvalSymlinks(filepath.Dir(name)); err == nil {
			path = filepath.Join(folder, filepath.Base(name))
		}
	}
	if absolute, err := filepath.Abs(path); err == nil {
		return absolute
	}
	return path
}

// recorder records what the reports need.
func (f *reportFlag) recorder() *report.Recorder {
	isPage := func(file reportFile) bool { return file.kind == report.HTML }
	return &report.Recorder{NoLog: !slices.ContainsFunc(f.files, isPage)}
}

// write writes all reports, and says which.
func (f *reportFlag) write(a *app, r *report.Recorder, about report.About) error {
	var errs []error
	for _, file := range f.files {
		if err := file.write(r, about); err != nil {
			errs = append(errs, fmt.Errorf("--report %s=%s: the report was not written: %w; what was done to machines is not affected%s", file.kind, file.name, err, file.later(r.Show())))
			continue
		}
		fmt.Fprintf(a.streams.Err, "wrote report %s: %s\n", file.kind, file.name)
	}
	return errors.Join(errs...)
}

// later says how to write the report once there is room, by the command that shows its run; "" for
// a run without one, whose log does not outlast it.
func (f reportFile) later(show string) string {
	if show == "" {
		return ""
	}
	return fmt.Sprintf(": make room, then write it with: %s --report %s", show, shellWord(string(f.kind)+"="+f.name))
}

// reportView records the events of a run, and writes its reports at the end.
type reportView struct {
	*report.Recorder
	request *request
	begun   bool // the run did, in this call
}

// recordReports makes the view that writes the reports. A run that is continued is reported from
// its beginning.
func (r *request) recordReports() (view.View, error) {
	v := &reportView{Recorder: r.flags.outputs.reports.recorder(), request: r}
	if r.prepared.Continues == nil {
		return v, nil
	}
	_, err := record(v.Recorder, r.state, r.prepared.Name)
	return v, err
}

// Event implements [view.View].
func (v *reportView) Event(e event.Event) {
	if e.Kind == event.RunStarted {
		v.begun = true
		v.request.flags.outputs.reports.removeEarlier()
	}
	v.Recorder.Event(e)
}

// removeEarlier removes what is of an earlier run: it must not be taken for a report of this one,
// also where this one is killed. One that cannot be removed cannot be replaced, which is said at
// the end.
func (f *reportFlag) removeEarlier() {
	for _, file := range f.files {
		os.Remove(file.path)
	}
}

// Earlier implements [view.View]: it was read from the log.
func (v *reportView) Earlier(event.Event) {}

// Close implements [view.View]. Of a run that did not begin, or was not continued, there is no
// report.
func (v *reportView) Close() error {
	if !v.begun {
		return nil
	}
	return v.request.flags.outputs.reports.write(v.request.app, v.Recorder, v.request.about())
}

// about is what the events do not say of the run.
func (r *request) about() report.About {
	a := report.About{Version: version, By: state.Self().String(), Command: r.secrets.Mask(r.commandLine())}
	if r.saved != nil {
		a.Applied = appliedText(r.saved.Saved)
	}
	return a
}

// keepPlan keeps the saved plan that is applied next to the log, for reports that are written
// later. The run does not depend on it.
func (r *request) keepPlan(run string) {
	if r.saved == nil {
		return
	}
	saved := *r.saved.Saved
	b, err := saved.Encode()
	if err == nil {
		err = log.KeepPlan(r.state, run, b)
	}
	if err != nil {
		fmt.Fprintf(r.streams.Err, "warning: the saved plan could not be kept next to the log: %v; later reports of the run lack it\n", err)
	}
}

// appliedText is a saved plan as people approved it.
func appliedText(s *proposal.Saved) string {
	var out bytes.Buffer
	fmt.Fprintf(&out, "made by %s at %s with esxiplan %s\n", s.Made.By, s.Made.Time.Format("2006-01-02 15:04 UTC"), s.Made.Version)
	view.Proposal(&view.Streams{Out: &out}, s.Proposal, view.ProposalOptions{})
	return out.String()
}

// record reads a run into a recorder, and returns what its log says of its last stage.
func record(r *report.Recorder, folder, run string) (about report.About, err error) {
	err = log.Each(folder, run, func(record log.Record) error {
		if s := record.Stage; record.Kind == log.StageStarted && s != nil {
			about.Version, about.By, about.Command = s.Version, s.By.String(), s.Command
		}
		if record.Log == 0 && !record.OfSession() {
			r.Event(record.Event)
		}
		return nil
	})
	return about, err
}

// reportRun writes reports of a run from its log.
func (a *app) reportRun(folder, run string, reports reportFlag) error {
	r := reports.recorder()
	about, err := record(r, folder, run)
	if err != nil {
		return err
	}
	if r.Empty() {
		return fmt.Errorf("run %s has done nothing yet: its log has no event", run)
	}
	if name := log.PlanFile(folder, run); name != "" {
		saved, err := proposal.Read(name)
		if err != nil {
			return fmt.Errorf("the plan that run %s applied: %w", run, err)
		}
		about.Applied = appliedText(saved)
	}
	return reports.write(a, r, about)
}
