// Package notify sends messages to webhooks, also to those of chats: a run started, hosts
// failed, the run ended.
//
// A [Sink] takes the events of a run, one at a time, and never blocks: each [Target] has an
// inbox, which folds events into what is still to be sent, and a goroutine of its own, which
// sends it. So an endpoint that hangs delays neither the run nor another target, and a
// thousand hosts that fail at once are one message. What could not be delivered when
// [Sink.Close] returns is reported, and changes nothing else.
//
// The JSON form of [Message] is what programs receive: it has a version ([Schema]), and
// fields are added, never re-used. [SignatureHeader] says how a receiver verifies it.
//
// Everything that is sent is cleaned and masked here, also where it was before, and no error
// shows a path or query of a URL: for most services these are the credential. The package
// reads no plan and chooses no target; whoever makes a Target does (cmd/esxiplan).
package notify
