// Package schema is the plan language: it loads plan files, checks all that can
// be checked before a run, and evaluates expressions.
//
// A plan is HCL. [Load] reads one file, several, or a directory, and returns a
// [Plan]: its hosts with every inherited argument evaluated, its steps with
// their bodies kept as expressions, because those refer to results that exist
// only during a run. [Plan.Arguments] and [Plan.Condition] evaluate them for one
// host, with the facts and results that a [Scope] gives; [Plan.Decode] does so
// without a run. A host that chooses its disk or NIC by what the machine has
// ([Host.Deferred]) is completed by [Plan.Resolve]. A host that a dynamic block or a range
// made knows its row ([Host.Origin], [Host.Cell]).
//
// A plan may have ten thousand hosts. What a group says without naming the host
// is evaluated once for all of them, and so is a step that does not refer to hosts;
// [Plan.Host], [Plan.Hosts] and [Plan.Step] only look up.
//
// What a step type takes and returns is described by an [Object], derived from
// the Go struct that receives it; decoding, static checks and the reference
// documentation all come from that one description.
//
// Secrets are values with the mark [Sensitive], and [Secret] in Go structs.
// [Plan.SecretNames] names each text, so that a log can hold the name in its
// place. [Plan.Parts] digests what a plan says of a host, and [DifferingParts]
// names what is no longer the same; no digest is made from a secret.
//
// A plan may be hostile. Before a source is parsed, [CheckSource] bounds its size and how
// deeply it is nested; a meter bounds what expressions evaluate to, during a run as well;
// and [Load] watches the time, memory and stack of the evaluation as a whole.
//
// Problems are hcl.Diagnostics, all of them at once: an argument with a problem is unknown
// to what depends on it, and everything else is checked. The summary of a diagnostic never
// contains the user's data; the detail says what is wrong and what to do. A problem that
// several hosts have at one place is one diagnostic, and [Concerned] lists the hosts.
// [Plan.CheckImages] and [Plan.CheckPasswords] find what [Load] does not check.
//
// Where to look: load.go reads files and blocks, variable.go variables and locals,
// host.go groups and hosts, expand.go and hostrange.go blocks that make several hosts,
// rows.go where their rows are written, notify.go notify blocks, deferred.go what waits for facts, step.go steps;
// check.go finds what is wrong with hosts, reference.go what is wrong with
// references, literal.go passwords that are written out. content.go reads mistyped names as
// what was meant; problem.go folds problems and names hosts; syntax.go and explain.go say in
// words of a plan what the parser and the evaluation found. scope.go evaluates,
// functions.go has the functions. source.go, meter.go, bounds.go (of functions) and
// watch.go defend against hostile plans. object.go describes, bind.go fills structs.
// digest.go says what concerns a host, writing.go what of an expression does. secret.go,
// address.go and duration.go are the types of arguments.
//
// The package knows no step type, no vendor and no hardware: those come in as
// [Known]. How diagnostics are printed (cmd/internal/view) and in which order steps
// run (engine) are not part of it.
package schema
