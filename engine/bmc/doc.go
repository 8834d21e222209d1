// Package bmc is the door to a host's management controller.
//
// [Open] gives a [Client]: a few reads and four writes. It connects on first use,
// keeps one session for the whole run and closes it with [Client.Close]. The
// standard, [Redfish], is written once, on gofish; a vendor is a folder below
// that overrides only what differs and is listed in package vendors.
//
// Every state-changing request is recorded before it is sent: no record, no
// request. It goes out on a connection that answered a moment ago, or on a new
// one, because Go never repeats a POST on a dropped idle connection and the
// answer may be lost. Nothing is retried here beyond what the standard's
// adaptive bodies and ETags ask for: who retries re-reads the state first, and
// that is the engine.
//
// [Shadow] is the same door for a dry run. The package leaves out what a step
// makes of an answer, guards, and waiting.
package bmc
