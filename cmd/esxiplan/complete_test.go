package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"esxiplan/cmd/internal/view"
	"esxiplan/engine/twin"
)

// completed is what a shell is offered for the last of these words, without explanations, and how
// it goes on behind it.
func completed(t *testing.T, words ...string) (offered []string, directive string) {
	t.Helper()
	var out, stderr bytes.Buffer
	a := newApp(os.Stdin, &view.Streams{Out: &out, Err: &stderr})
	c := a.command()
	c.SetArgs(append([]string{"__complete"}, words...))
	if err := c.Execute(); err != nil {
		t.Fatal(err)
	}
	if said := stderr.String(); strings.Count(said, "\n") != 1 || !strings.HasPrefix(said, "Completion ended with directive") {
		t.Errorf("%q: it says %q", words, said)
	}
	last := words[len(words)-1]
	if strings.HasPrefix(last, "-") {
		_, last, _ = strings.Cut(last, "=")
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	for _, line := range lines[:len(lines)-1] {
		if text, _, _ := strings.Cut(line, "\t"); strings.HasPrefix(text, last) { // as shells do
			offered = append(offered, text)
		}
	}
	return offered, lines[len(lines)-1]
}

const (
	andBlank   = ":4" // no file names
	withoutOne = ":6" // and no blank
	orFiles    = ":0"
	orFolder   = ":2"
)

// planToComplete has a BMC at an address that notices who connects.
const planToComplete = `
variable "rack" {
  type    = string
  default = "r1"
}
group "dell" {
  vendor = "dell"
  bmc {
    username = "root"
    password = env("BMC_PASSWORD")
  }
  host "one" {
    bmc { address = %[1]q }
    esxi {
      address = "192.0.2.11"
      netmask = "255.255.255.0"
    }
  }
  host "two" {
    bmc { address = "198.51.100.2" }
  }
}
group "other" {
  host "odd" {
    bmc {
      address  = "198.51.100.3"
      username = "root"
      password = "calvin-lab-1"
    }
  }
}
step "precheck" "login" { tags = ["pre-check", "all-day"] }
step "eject" "leftovers" { tags = ["mount-iso"] }
step "power" "restart" {
  tags   = ["reboot"]
  action = "off"
}
`

// placeToComplete is a folder with a plan and the logs of two runs. It reports how many connected to
// the plan's BMC.
func placeToComplete(t *testing.T) (connected func() int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	var n atomic.Int32
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n.Add(1)
			c.Close()
		}
	}()
	t.Chdir(t.TempDir())
	t.Setenv("CI", "")
	for name, text := range map[string]string{
		"site.hcl": fmt.Sprintf(planToComplete, l.Addr()), "wrong.hcl": "group {", "notes.txt": "", "plans/rack.hcl": "", ".hidden.hcl": "",
		".esxiplan/runs/nightly-6.jsonl": "{}\n", ".esxiplan/runs/nightly-7.jsonl": "{}\n", ".esxiplan/runs/by-hand.jsonl": "{}\n",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return n.Load
}

// TestCompletion: each word that a shell can know is offered, and the plan's machines hear nothing
// of it.
func TestCompletion(t *testing.T) {
	connected := placeToComplete(t)
	for _, c := range []struct{ words, want, directive string }{
		{"run site.hcl --tags ", "pre-check all-day mount-iso reboot", andBlank},
		{"run site.hcl --tags m", "mount-iso", andBlank},
		{"run site.hcl --tags mount-iso,", "mount-iso,pre-check mount-iso,all-day mount-iso,reboot", andBlank},
		{"run site.hcl --tags=reboot,all", "reboot,all-day", andBlank},
		{"run site.hcl -t reboot,m", "reboot,mount-iso", andBlank},
		{"plan site.hcl --skip-tags pre-check,all-day,m", "pre-check,all-day,mount-iso", andBlank},
		{"run site.hcl --limit ", "dell one two other odd", andBlank},
		{"run site.hcl --limit dell,!t", "dell,!two", andBlank},
		{"status site.hcl -l one,o", "one,other one,odd", andBlank},
		{"run site.hcl --start-at ", "login leftovers restart", andBlank},
		{"run site.hcl -e ", "rack=", withoutOne},
		{"rehearse site.hcl --fault boots", "boots-disk", andBlank},
		{"rehearse site.hcl --fault one=boots", "one=boots-disk", andBlank},
		{"rehearse site.hcl --fault tw", "two-disks two=", withoutOne},
		{"rehearse site.hcl --fault del", "", andBlank},
		{"rehearse site.hcl --profile ", "one= two= odd=", withoutOne},
		{"sim site.hcl --profile one=dell/idrac8", "one=dell/idrac8", andBlank},
		{"sim site.hcl --profile one=hpe", "", andBlank},
		{"sim site.hcl --profile odd=hpe/ilo4", "odd=hpe/ilo4", andBlank},
		{"sim site.hcl --profile nobody=", "", andBlank},
		{"validate site.hcl -o g", "github gitlab", andBlank},
		{"discover site.hcl --output ", "table details json", andBlank},
		{"plan site.hcl -o m", "markdown", andBlank},
		{"run site.hcl --dry-run -o m", "markdown", andBlank},
		{"run site.hcl -o json", "jsonl", andBlank},
		{"run site.hcl --color a", "auto always", andBlank},
		{"run site.hcl --forks ", "", andBlank},
		{"status site.hcl --every ", "", andBlank},
		{"run site.hcl --run n", "nightly-6 nightly-7", andBlank},
		{"run site.hcl --only-failed=n", "nightly-6 nightly-7", andBlank},
		{"runs show ", "by-hand nightly-6 nightly-7", andBlank},
		{"runs show nightly-7 s", "site.hcl", orFiles},
		{"runs show nightly-7 site.hcl --host t", "two", andBlank},
		{"show n", "nightly-6 nightly-7", orFiles},
		{"show nightly-7 s", "site.hcl", orFiles},
		{"show nightly-7 site.hcl --host t", "two", andBlank},
		{"run site.hcl --max-failures ", "", andBlank},
		{"run site.hcl --in-flight ", "", andBlank},
		{"apply x.plan --max-age ", "", andBlank},
		{"runs prune --keep ", "", andBlank},
		{"discover --username ", "", andBlank},
		{"discover --fingerprint=", "", andBlank},
		{"discover site.hcl --picks ", "", orFiles},
		{"runs diff nightly-6 nightly-7", "nightly-7", andBlank},
		{"runs diff nightly-6 nightly-7 s", "site.hcl", orFiles},
		{"runs s", "show site.hcl", orFiles},
		{"runs --state elsewhere show ", "", andBlank},
		{"run ", "plans/ site.hcl wrong.hcl", orFolder},
		{"run plans/", "plans/rack.hcl", orFiles},
		{"list t", "tags", andBlank},
		{"list steps s", "site.hcl", orFiles},
		{"list hosts site.hcl --limit od", "odd", andBlank},
		{"kickstart render site.hcl --host ", "one two odd", andBlank},
		{"do p", "precheck power", andBlank},
		{"do power ", "plans/ site.hcl wrong.hcl", orFolder},
		{"do power site.hcl a", "action=", orFolder},
		{"do power site.hcl action=", "action=on action=off action=restart action=graceful_off", andBlank},
		{"do power site.hcl action=r", "action=restart", andBlank},
		{"do eject site.hcl force=", "force=true force=false", andBlank},
		{"do eject site.hcl force=true f", "", orFiles},
		{"do power site.hcl action=off --limit t", "two", andBlank},
		{"do sing site.hcl ", "plans/ site.hcl wrong.hcl", orFolder},
		{"doc one", "one_time_boot", andBlank},
		{"run wrong.hcl --tags ", "", andBlank},
		{"run nowhere.hcl --limit ", "", andBlank},
		{"run --limit ", "", andBlank},
		{"rehearse wrong.hcl --fault lef", "leftover", andBlank},
	} {
		words := strings.Split(c.words, " ")
		offered, directive := completed(t, words...)
		if got := strings.Join(offered, " "); got != c.want || directive != c.directive {
			t.Errorf("%s: %s (%s), want %s (%s)", c.words, got, directive, c.want, c.directive)
		}
	}
	if n := connected(); n > 0 {
		t.Errorf("%d connections to a BMC", n)
	}
}

// TestCompletionOfFaults: every fault is offered, with what it does.
func TestCompletionOfFaults(t *testing.T) {
	offered, _ := completed(t, "rehearse", "--fault", "")
	if len(offered) != len(twin.FaultKinds) {
		t.Errorf("%d of %d faults", len(offered), len(twin.FaultKinds))
	}
}

// TestCompletionOffersFilesForFiles: names of files are offered only for flags that take one.
func TestCompletionOffersFilesForFiles(t *testing.T) {
	takesFile := strings.Fields("allow-read base certificate events file html key kickstart log metrics out picks sim state tally trace var-file")
	a := newApp(os.Stdin, &view.Streams{})
	var check func(c *cobra.Command)
	check = func(c *cobra.Command) {
		c.LocalFlags().VisitAll(func(flag *pflag.Flag) {
			_, offers := c.GetFlagCompletionFunc(flag.Name)
			if free := flag.Value.Type() != "bool" && flag.Value.Type() != "count" && !offers; free && !slices.Contains(takesFile, flag.Name) {
				t.Errorf("%s --%s offers names of files", c.CommandPath(), flag.Name)
			}
		})
		for _, sub := range c.Commands() {
			check(sub)
		}
	}
	check(a.command())
}
