// Package media is the door to installer images: it makes one per host, brings
// it to where BMCs can fetch it, and knows what was read of it.
//
// A per-host image is not re-mastered. [Open] indexes the vendor's ISO once,
// [Base.Overlay] lays a few changed sectors and appended files over it, and the
// result, an [Image], reads as the whole ISO. Everything that is not named in
// the change list stays at its place, byte for byte: the El Torito boot entries,
// the boot images, all modules.
//
// What is laid over is the kickstart ([Kickstart.Render]) and both boot.cfg files
// ([BootConfig]), for BIOS reads the one in the root and UEFI the one beside its
// loader.
//
// [Store] is the door that steps see: a [Directory] (files for a web server) or a
// [Server] (served by this process). Both keep a manifest: token, salt, build
// time, so that the same inputs give the same bytes under the same URL.
//
// The package leaves out how a BMC mounts an image (engine/bmc) and what the
// installer then does with it.
package media
