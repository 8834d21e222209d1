// Package proposal is what a run would do, as a value that people approve and a later run is
// held to.
//
// [Fold] makes a [Proposal] of the events of a dry run. Two dry runs of one plan against the
// same machines give equal proposals: no time, name of a run or random value takes part. What
// does not compare, such as who made it and when, is in [Made], apart from it.
//
// [Blocks] joins hosts that differ only in names, addresses and serial numbers, for views.
// [Saved] is a proposal in a file: [Write] and [Read] keep it whole by a checksum, and
// [Saved.CheckMade] and [Saved.Check] refuse one that is not of the plan, the tool or the time any more.
//
// The package reads no machine. How a proposal looks is up to cmd/internal/view.
package proposal
