// Package step is the contract between the engine and the step types.
//
// A step type is one Go value, made by [Define] from a [Spec]: arguments struct,
// result struct, documentation, default policy, one function Run. Decoding,
// checking, reference documentation, dry run, retries and conformance tests
// follow from it. Run gets a [Host], which has three doors (BMC, ESXi, Media) and
// nothing else: there is no other way to the outside.
//
// The contract of Run: read before you write; running again after success writes
// nothing; honour the context; wait only with [Host.Until]; blame an argument with
// schema.AtArgument; never name a vendor; never ask whether it is a dry run.
//
// Guards live here, too, because no step and no tag may get past them. The [BMC]
// door of a host offers reading as it is, and each write as a method of its own that
// passes its guards first; a write that no guard knows does not exist for steps. Each
// guard is a file (guard_*.go): a function of what was read, what is planned and what is
// on record, which passes or gives a [Refusal].
//
// A write is a value: an event.Change, recorded before it is made, with the event.Intent that it is
// part of; what came of it is a second record, event.Settled. [History] folds the records of a
// machine and alone says what they mean: what is mounted, what it is set to boot, whether
// one of our installations is in progress, what we owe it.
package step
