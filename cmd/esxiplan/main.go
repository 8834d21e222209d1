// Command esxiplan runs plans that turn bare servers into verified ESXi hosts
// over Redfish. Each command is a file of this folder; world.go alone opens the
// doors to the outside.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"esxiplan/cmd/internal/view"
	"esxiplan/engine/event"
	"esxiplan/engine/secret"
	"esxiplan/engine/text"
	"esxiplan/schema"
)

// version is set when a release is built.
var version = "0.1.0"

func main() { os.Exit(Main()) }

// Main runs the command line and returns the exit code.
func Main() int {
	log.SetOutput(io.Discard) // net/http writes there what machines send unasked
	a := newApp(os.Stdin, newStreams(os.Stdout, os.Stderr))
	a.streams.Line = lineScreen(os.Stderr)
	a.streams.Screen = screenOf(os.Stdin, os.Stdout, a.streams.Line)
	out := view.NewOutput(os.Stdout)
	a.console = logged(out, os.Stdout)
	flush := a.maskStreams(a.console, logged(os.Stderr, os.Stderr))
	code := a.exit(a.command().Execute)
	flush()
	lost := out.Lost()
	if lost == nil || errors.Is(lost, syscall.EPIPE) { // a reader that went away wants no more
		return code
	}
	write(os.Stderr, "esxiplan: the output is incomplete: "+lost.Error()+". The work itself is not affected; free some space, then see `esxiplan runs show` for a run, or run this again\n")
	if code == event.ExitOK {
		return event.ExitUsage
	}
	return code
}

// ciSystems are the variables by which CI systems make themselves known.
var ciSystems = []string{"CI", "GITHUB_ACTIONS", "TF_BUILD", "TEAMCITY_VERSION"}

// inCI reports that a CI system runs this process.
func inCI() bool {
	return slices.ContainsFunc(ciSystems, func(name string) bool { return os.Getenv(name) != "" })
}

// logged keeps what is written from being taken for commands by a CI system: names in plans, and
// what machines say, would be. Outside of one, and in files, all stays as it is.
func logged(out io.Writer, stream *os.File) *text.Log {
	info, err := stream.Stat()
	return &text.Log{Out: out, Commands: !inCI() || err == nil && info.Mode().IsRegular()}
}

// exit turns what comes of a command into an exit code.
func (a *app) exit(command func() error) (code int) {
	defer func() {
		if r := recover(); r != nil {
			a.leave()
			code = a.crashed(r, debug.Stack())
		}
	}()
	err := command()
	var exit exitCode
	switch {
	case err == nil:
		return event.ExitOK
	case errors.As(err, &exit):
		return int(exit)
	}
	a.sayBefore(err.Error())
	return event.ExitUsage
}

// exitCode is an error that was reported already.
type exitCode int

func (e exitCode) Error() string { return "exit " + strconv.Itoa(int(e)) }

// app is what the commands share.
type app struct {
	in      *os.File
	streams *view.Streams
	color   string
	jsonl   bool           // problems before a run are events, too
	secrets *secret.Masker // of this process, in front of all that it writes
	console *text.Log      // standard output, which may be the log of a CI system
	leave   func()         // gives the terminal back before the process ends early
}

func newApp(in *os.File, streams *view.Streams) *app {
	return &app{in: in, streams: streams, secrets: secret.New(schema.Hidden), leave: func() {}}
}

// maskStreams lets no secret out by the streams, whatever wrote it there; flush passes on
// what they hold back of a line without an end.
func (a *app) maskStreams(out, err io.Writer) (flush func()) {
	maskedOut, maskedErr := a.secrets.Writer(out), a.secrets.Writer(err)
	a.streams.Out, a.streams.Err, a.streams.Mask = maskedOut, maskedErr, a.secrets.Mask
	return func() {
		maskedOut.Flush()
		maskedErr.Flush()
	}
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "esxiplan",
		Short: "Turn bare servers into verified ESXi hosts, from a plan, over Redfish",
		Long: `esxiplan runs a plan: one HCL file says which hosts, by group and vendor, and which
ordered steps. It builds an installer medium per host, mounts it through the BMC,
restarts the machine once, and proves that the new ESXi is there.

Start with:   esxiplan rehearse plans/demo.hcl     the whole plan on simulated machines
Then:         esxiplan validate site.hcl
              esxiplan plan site.hcl               what would be done, host by host
              esxiplan run site.hcl`,
		SilenceUsage: true, SilenceErrors: true,
		Version: version,
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			if err := checkEnvironment(c); err != nil {
				return err
			}
			return a.setColor()
		},
	}
	root.SetVersionTemplate("esxiplan {{.Version}}\n")
	root.Flags().Bool("version", false, "print the version") // without -v, which is --verbose elsewhere
	root.PersistentFlags().StringVar(&a.color, "color", "auto", "colours: auto, always or never (NO_COLOR is honoured)")
	root.SetOut(a.streams.Out)
	root.SetErr(a.streams.Err)
	root.CompletionOptions.HiddenDefaultCmd = false
	root.AddCommand(a.planCommand(), a.applyCommand(), a.showCommand(), a.runCommand(), a.doCommand(), a.statusCommand(), a.discoverCommand(), a.rehearseCommand(), a.simCommand(), a.serveCommand(),
		a.runsCommand(), a.isoCommand(), a.kickstartCommand(),
		a.validateCommand(), a.notifyCommand(), a.fmtCommand(), a.listCommand(), a.docCommand(), a.versionCommand())
	addUsage(root)
	a.addCompletion(root)
	return root
}

// newStreams looks once at what the streams are.
func newStreams(out, err *os.File) *view.Streams {
	s := &view.Streams{Out: out, Err: err, Width: columns(err), OutWidth: columns(out)}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if locale := os.Getenv(name); locale != "" {
			s.ASCII = !utf8Locale(locale)
			break
		}
	}
	wanted := os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	s.Color, s.ColorErr = wanted && term.IsTerminal(int(out.Fd())), wanted && term.IsTerminal(int(err.Fd()))
	return s
}

// columns is how wide a stream is, 0 where it is no terminal: a file gets whole lines. COLUMNS is
// for any.
func columns(f *os.File) int {
	width, err := strconv.Atoi(os.Getenv("COLUMNS"))
	if err != nil || width <= 0 {
		width, _, err = term.GetSize(int(f.Fd()))
	}
	if err != nil {
		return 0
	}
	return min(max(width, 40), 200)
}

func utf8Locale(locale string) bool {
	for i := range len(locale) {
		if rest := locale[i:]; len(rest) >= 4 && (rest[:4] == "UTF8" || rest[:4] == "utf8" || len(rest) >= 5 && (rest[:5] == "UTF-8" || rest[:5] == "utf-8")) {
			return true
		}
	}
	return false
}

func (a *app) setColor() error {
	switch a.color {
	case "auto":
	case "always":
		a.streams.Color, a.streams.ColorErr = true, true
	case "never":
		a.streams.Color, a.streams.ColorErr = false, false
	default:
		return fmt.Errorf("--color takes auto, always or never, not %q", a.color)
	}
	return nil
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Print the version", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		_, err := fmt.Fprintf(a.streams.Out, "esxiplan %s\n", version)
		return err
	}}
}

// interrupts gives two contexts: the first ends with the first Ctrl-C, the second
// with the second one; the third one ends the process.
func interrupts(note func(string)) (soft, hard context.Context, stop func()) {
	return interruptsOn(note, func() {})
}

// interruptsOn is [interrupts] on a terminal that the process leaves before it ends.
func interruptsOn(note func(string), leave func()) (soft, hard context.Context, stop func()) {
	soft, endSoft := context.WithCancel(context.Background())
	hard, endHard := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // a lost connection is an interrupt, too
		signal.Notify(signals, syscall.SIGHUP)
	}
	signal.Ignore(syscall.SIGPIPE) // a reader that went away ends the output, not the run
	done := make(chan struct{})
	go func() {
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			case <-signals:
			}
			switch n {
			case 0:
				endSoft() // first: nothing may begin after the line is written
				note("interrupted: stopping at the next safe point; press Ctrl-C again to stop now")
			case 1:
				endHard()
			default:
				leave()
				os.Exit(event.ExitInterrupted)
			}
		}
	}()
	return soft, hard, func() {
		signal.Stop(signals)
		close(done)
		endSoft()
		endHard()
	}
}

// write is io.WriteString without an answer, for streams whose errors cannot be reported.
func write(w io.Writer, text string) { io.WriteString(w, text) }
