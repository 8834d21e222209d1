// Package lane decides what happens next. A [Lane] is one host's way through the steps of
// a plan: only it has expressions and policy, takes the outcome of one attempt and answers
// with events and with the next attempt, which may carry a delay, or with a request to the
// gates. A [Set] is the lanes of a run with the gates that they share.
//
// Both are pure: no goroutine, no clock, no I/O, and the same outcomes in the same order
// give the same events and actions. A driver makes the attempts and sleeps (engine/local);
// one that survives restarts can run a lane in a workflow of its own, because all that goes
// in and out is plain data. To continue a run is to fold the outcomes of its log into fresh
// lanes.
//
// Retries have several layers; this package owns the outermost: further attempts of a step,
// by its policy.
package lane
