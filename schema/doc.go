// Package schema is the plan language: it loads plan files, checks all that can
// be checked before a run, and evaluates expressions.
//
// A plan is HCL. [Load] reads one file, several, or a directory, and returns a
// [Plan]: its hosts with every inherited argument evaluated, its steps with
// their bodies kept as expressions, because those refer to results that exist
// only during a run. [Plan.Scope] gives the evaluation context of one host.
//
// What a step type takes and returns is described by an [Object], derived from
// the Go struct that receives it; decoding, static checks, reference
// documentation and JSON Schema all come from that one description.
//
// Problems are hcl.Diagnostics, all of them at once. The summary of a diagnostic
// never contains the user's data; the detail says what is wrong and what to do.
//
// The package knows no step type, no vendor and no hardware: those come in as
// [Known]. It leaves out how diagnostics are printed (cmd/internal/view) and in
// which order steps run (engine).
package schema
