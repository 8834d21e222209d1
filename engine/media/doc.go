// Package media is the door to installer images: it makes one per host, brings
// it to where BMCs can fetch it, and knows what was read of it.
//
// A per-host image is the vendor's, with a kickstart and both boot.cfg files laid
// over it (package engine/media/iso); BIOS reads the boot.cfg in the root, UEFI the one
// next to its loader ([BootConfig]). Package engine/media/kickstart writes the kickstart, and
// judges a user's own. What was built is read back by a
// checker that knows nothing of the builder (engine/media/isocheck) before any
// step sees its URL.
//
// [Store] is the door that steps see. [NewDirectory] keeps images as files for a web
// server, or, with overlays only, for [DirectoryServer]; [NewServer] serves them from
// this process, and a later process of the same state serves them again. All keep a
// manifest per host: token, salt, URL, build time, what it was made from and what is on
// it, so that the same inputs give the same bytes under the same URL, and so that what
// differs from a plan can be said in words ([ErrNotBuilt], [ErrGone]) even without the
// installer image.
//
// Where one of our servers serves an image, [Reads] says what was read of it: how much,
// when, by whom, and which part, by the clock of the run. Servers note it for every client;
// what counts as evidence is what the host's BMC read, which servers distinguish from
// others if the plan gives it by name. Several servers may serve one folder:
// what they noted is added up when it is read.
//
// Where to look: media.go is the door. library.go makes images and publishes them,
// published.go says of what was published whether it is what a plan gives now, and whether
// it is still there. Images are kept on a shelf: directory.go, or servershelf.go if this
// process serves them. server.go starts the two servers, that of a run and that of esxiplan
// serve; handler.go is what they share; answer.go sends the bytes of one answer, allow.go
// says who may read, connections.go how much of the server a client may have, telling.go what
// is logged, sockets.go and certificate.go where a server listens. regular.go opens files in
// folders to which others may write. What was read is
// counted in counter.go, written down by noting.go, kept by notes.go and judged in reads.go.
//
// The package leaves out how a BMC mounts an image (engine/bmc) and what the
// installer then does with it.
package media
