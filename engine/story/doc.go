// Package story is what the events of a run add up to: the run, its hosts with their steps, how
// far each one is, and what is true of it. The recap, the live table, the list of runs and all
// reports are views of a story, so that no two of them can disagree.
//
// A story is a pure fold: it has no clock, does no I/O and may be fed while the run is under
// way or years later from its log.
package story
