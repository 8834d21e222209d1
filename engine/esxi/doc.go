// Package esxi is the door to the ESXi that answers on a host's management
// address, be it the one to be replaced or the one just installed.
//
// It only reads. [Client.Probe] needs no login: it returns the certificate's
// fingerprint and how the API identifies itself. [Client.Inspect] logs in, under
// rules that keep root from being locked: the login of the running system is
// used once per run and never again; the new root password at most three times,
// and only by callers that have seen a new certificate, which they name.
//
// [Shadow] is the door of a dry run. What the answers prove (step wait) and whether
// a machine may be reset (engine/step) are not part of this package.
package esxi
