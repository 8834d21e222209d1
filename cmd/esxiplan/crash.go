package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"esxiplan/engine/event"
	"esxiplan/engine/local"
)

// crashed reports a bug in esxiplan: what to send to its authors, and no trace on the
// terminal.
func (a *app) crashed(reason any, stack []byte) int {
	about := fmt.Sprintf("esxiplan %s (%s, %s/%s)", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	command := shellLine(withoutValues(os.Args))
	trace, err := local.SaveTrace(about+"\n"+command, reason, stack, a.secrets.Mask)
	if err != nil {
		trace = fmt.Sprintf("not saved: %v", err)
	}
	a.sayBefore(fmt.Sprintf(`internal error. This is a bug in esxiplan. Please report it with
  version  %s
  command  %s
  trace    %s (read it before you send it: it may hold data of the plan)
What a run has recorded is kept; esxiplan run PLAN --resume continues it.`, about, command, trace))
	return event.ExitInternal
}

// withoutValues takes the values out of assignments, such as those of -e and of the
// arguments of do: any of them may be a secret.
func withoutValues(args []string) []string {
	out := make([]string, len(args))
	for i, arg := range args {
		if name, _, assigns := strings.Cut(arg, "="); assigns {
			arg = name + "=…"
		}
		out[i] = arg
	}
	return out
}
