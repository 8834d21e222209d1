// Package log is the durable log of runs: the only truth of what happened.
//
// A run is one file in the state folder, runs/NAME.jsonl: one record a line, each an event
// as users read it or one of the kinds that only the log has (a stage, the outcome of an
// attempt, a session of a BMC). [Open] begins a log or continues one; a change is on disk
// before [Log.Append] returns, so before it is made, and hosts that append at the same time
// share one fsync. Every line ends with a checksum that covers all lines before it, so that
// a damaged or shortened log is noticed; a last line that a crash cut short was never
// acknowledged and is dropped.
//
// Attempts of a step that waits come to the same for most of an hour. What repeats the one
// before it, but for times and the like, is logged as what differs ([Repeat]); readers get
// each of them whole.
//
// Everything that is known is a fold over records: [Log.History] of a machine, what a run
// may continue from ([Log.Records]), the list of runs ([List]). So that start-up does not
// read years, the histories of all machines lie in a snapshot (snapshot.json), with how far
// each log went into it; what is missing in it, or all if it is missing, damaged or does not
// fit the logs, is read from the logs. What [Prune] removed is known from the snapshot only.
//
// Secrets do not get in: texts are masked, and in the outcomes of attempts, which must be
// folded again as they were, a secret is a reference to what the plan calls it. Secrets of
// fewer than six characters are looked for as whole values only, see package secret: in
// texts they would be found by chance.
package log
