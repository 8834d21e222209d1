// Package bmc is the door to a host's management controller (BMC), over Redfish.
//
// [Open] gives a [Client]: a few reads and four writes. It connects on first use, keeps one
// session for the whole run and closes it with [Client.Close]. gofish carries the connection
// and every resource: its client reads the service root to begin with and sends all requests
// but the login and the logout, which have to work before and without it. The standard,
// [Redfish], is written once; a vendor is a folder below that overrides only what differs and
// is listed in package vendors.
//
// A state-changing request is recorded before it is sent ([Command], [Record]): no record, no
// request. A login is recorded, too ([SessionLog]), so that the next process closes what a
// crash left open. Both go out on a connection that answered within two seconds or on a new
// one, because Go never repeats a POST on a connection that turns out to be dead, and its
// answer may be lost.
//
// # Login
//
// A session is opened where the service root links to sessions, or hides what it links to. A
// service that links to none gets the password by Basic authentication. One that refuses a
// session (401, 403) gets it by Basic once, because emulators and proxies answer so for a
// missing service; but not if it says that the account is locked, or after a session login has
// succeeded. A dry run starts with Basic if the service asks for that by name, because
// a session is a POST. So a wrong password reaches a BMC twice at most, and the message names
// each way that was tried ([ErrLogin]).
//
// # Reading
//
// A real BMC takes 0.2 to 1.5 s for each answer, so round trips count. [Reader.Prefetch] asks
// questions of what was read so far; the documents that they lack are read up to four at a
// time, over as many connections, as far as a further connection brings an answer sooner than
// waiting for a busy one. A BMC that stumbles over that is asked for fewer at once. Documents
// count as current for some seconds, so that steps of one process share them. A write discards
// those that it may have changed, and no others; the guards before a restart read again what
// can have changed. Only fetching runs concurrently: a client belongs to one goroutine.
// HTTP/2 is not spoken: a connection that carries several requests cannot be dropped for one
// of them, and no firmware is known to need it.
//
// # Trust
//
// What a BMC says is not trusted. A [Link] that it gives becomes a request only as a path of
// the BMC's own origin: scheme, host and port of the plan's address. The transport sends
// nothing elsewhere, whatever asks for it, and follows redirects within the origin only. An
// answer is bounded in size, values, depth and time before it is decoded; its texts are
// cleaned at the same time ([Decode]), so that no caller has to. Only [Exchange] shows bodies
// as they came.
//
// # Retries
//
// Only code that knows that a request was not done may repeat it. So each layer repeats
// what it can judge, and no more:
//
//   - The transport repeats nothing. net/http repeats a GET on a pooled connection that died
//     before it answered.
//   - Reads and logins are repeated three times, two seconds apart, when the BMC answers with
//     a server error or drops the connection. A BMC that keeps silent is not asked again.
//   - A request that is answered 401 is repeated once after a new login, writes included:
//     nothing was done. A refused login is final for the client, and after three BMCs refused
//     it for the run ([Logins]).
//   - A write that the BMC refused for its form is sent again in another form: with another
//     ETag, with the properties that the BMC reports missing or without those that it does not
//     know. A boot source override, which does no harm when it is set twice, is also sent in its
//     next form after an answer that says only that something failed. Each form is a command of its own, marked Repeat.
//     A task that the BMC began is waited for.
//   - Everything else is left to the caller: a write that failed or whose answer was lost is
//     never sent again here. [Error.Retryable] reports whether an error may be
//     temporary; the engine then retries the whole step, after it has read the state again.
//
// [Shadow] is the same door for a dry run. What a step makes of an answer, guards, and
// waiting for a state are not part of this package.
package bmc
