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
// Guards live here, too, because no step and no tag may get past them: the BMC
// door of every host is wrapped so that the first write and every reset pass
// them ([Refusal]).
package step
