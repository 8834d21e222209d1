// Package proposal is what a run would do, as a value that people approve and to which a later
// run is bound.
//
// [Fold] makes a [Proposal] of the events of a dry run. Two dry runs of one plan against the
// same machines give equal proposals: they contain no time, name of a run or random value. What
// is not compared, such as who made it and when, is separate, in [Made].
//
// [Blocks] joins hosts that differ only in names, addresses and serial numbers, for views.
// [Saved] is a proposal in a file: [Write] and [Read] keep it whole by a checksum, and
// [Saved.CheckMade] and [Saved.Check] refuse one whose plan or tool has changed, or that is too old.
//
// The package reads no machine. How a proposal looks is up to cmd/internal/view.
package proposal
