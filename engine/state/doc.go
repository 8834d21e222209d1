// Package state is what outlives runs: the certificates seen on first use ([Pins]), refused
// logins ([Refusals]), and the locks that keep two runs from working on one machine
// ([Acquire]). [Make] makes their folder.
//
// # Locks
//
// A lock folder holds two kinds of files:
//
//	holders/ID.json   a process: who it is, how long its lease is. It writes this file again
//	                  four times per lease; the modification time is the last sign of life.
//	KEY~N             a claim: the machine (or run) KEY belongs to the holder whose ID it holds.
//	                  It is a link to holders/ID.claim if the file system has links.
//
// A holder is dead when its lease is over, when its process is known to have ended, or when
// its file is gone. Whether a lease is over is judged by the clock of the file system: the
// taker writes its own holder file and compares the two modification times, so the clocks of
// two hosts do not matter.
//
// To take a key is to create the claim with the next number N, which the file system grants to
// one process only (a link or O_EXCL, also over NFS). Before that, all claims on the key must
// belong to dead holders. After it, the taker looks again, and withdraws if a holder is alive now
// or another claim is above its own. A holder in turn first writes its file, then looks for
// claims above its own. So of a taker and a holder that awakes at the same moment, at least one
// sees the other. This needs no flock, which some shared file systems lack, and no critical
// section in which a stopped process could block the others.
//
// A taker removes the files of the dead holder, and leaves holders/ID.taken, from which a
// process that was only stopped or suspended learns who has its locks.
//
// [Locks.Held] says before each write whether the locks are still ours. Three quarters of a
// lease after the last renewal, by the monotonic clock (which may stand still while the host is
// suspended) or by the wall clock, it answers only after another renewal.
//
// What it relies on: a created or written file is visible to others when the call returns, as on
// local file systems, NFS and SMB. A clock of a file server that jumps forward by more than a lease
// ends all leases there; their holders notice at the next Held that another process took a lock over.
//
// What a run did (engine/log) and which machines a run needs are not part of this package.
package state
