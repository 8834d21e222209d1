// Package engine runs a plan.
//
// The [Machine] is pure: it alone has expressions and policy. [Machine.Start] and
// [Machine.Fold] take the outcome of one attempt and answer with events and with
// the next actions, which may carry a delay; they read no clock and do no I/O. A
// driver sleeps and runs: [Run] is the local one. A [Worker] carries out one
// attempt of one task on one host. The [Journal] makes every change durable before it is
// made, notes what came of it, and tells later processes what happened, by the history of
// each machine.
//
// # Glossary
//
//   - plan, group, host, step: as written in the plan files
//   - task: one step on one host; attempt: one try of it; outcome: how it ended
//   - result: what a successful attempt returns
//   - change: a write, as a value; fate: what came of it (done, refused, unknown)
//   - verdict: what a look at a machine says about its installation
//   - event: one line of the log of a run, its only output
//   - run: one execution of a plan; journal: its durable log
//   - guard: what must hold before a write
//   - argument: of a block; attribute: of a value; diagnostic: a problem of the plan
//   - reset: one boot of the machine; ForceOff and On count as one
//   - session, power state, boot source override, virtual media, reset type: Redfish's
//
// The package leaves out the language (schema), what steps do (steps), and how
// events look (cmd/internal/view).
package engine
