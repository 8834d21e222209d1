// Package evil makes hostile BMCs.
//
// A [BMC] is a proxy of an honest one. It passes on what clients request, and spoils the
// answers in one [Form]: it links to an [Attacker], never ends its answers, lets them grow,
// writes terminal escapes, or echoes secrets. [Forms] lists them all, with what a client has
// to report for each. It serves real sockets, so it tests real clients.
//
// The package judges nothing: programs and tests start clients, and check what reached the
// attacker, what the client printed, and what it used.
package evil
