// Package session is a run without a terminal: it begins runs, continues them, and ends
// them.
//
// [Prepare] says what a run would do, which hosts it would wipe, what it continues and
// whose consent it needs; no machine is read, and nothing is written but the snapshot of
// what old logs say. [Prepared.Run] takes the locks, opens the log, and drives the lanes to
// their end, over the doors of a [World].
//
// A run has a name. What one call of esxiplan is asked to do is a stage of it: certain
// steps on certain hosts. The same name again continues the run: a stage with the same
// steps from where it stopped, by folding its log into fresh lanes; another stage as one more,
// without the hosts that failed before. No decision relies on the log alone: an attempt
// that was under way is made again, and its step reads the machine first.
//
// Flags, questions and how events look (cmd) are not part of it.
package session
