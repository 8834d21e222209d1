// Package iso lays files over an ISO 9660 image without making a new one.
//
// [Open] indexes an image once, [Base.Overlay] replaces and adds a few files, and
// the result, an [Image], reads as the whole ISO while it holds only the sectors
// that changed: directory records, volume descriptors, sometimes path tables. New
// file data is always appended. Everything that is not named in the change list
// stays at its block, byte for byte: the El Torito entries, the boot images, every
// other file.
//
// Every directory tree of the image is changed alike (plain ISO 9660 with or
// without Rock Ridge, ISO 9660:1999, Joliet), because which one a reader uses
// depends on the reader: the UEFI driver of ESXi sees the primary tree only, Linux
// prefers Rock Ridge, then Joliet.
//
// A directory that has no room for one more record is not lengthened in
// place, because something else follows it. With [Relocate] all directories of
// that tree move behind the end of the image, in the order of the path table:
// libarchive reads forward only, and would drop directories that come before
// their parent. (Read as a stream, without seeking, such an image shows it no files.)
//
// A change that would do harm is refused with an [Unsupported] that says why. Package engine/media/isocheck judges the results and shares no code with
// this package.
//
// Numbers: blocks have [Sector] bytes, partition tables count blocks of 512.
// The format is ECMA-119 (ISO 9660), with SUSP and RRIP (Rock Ridge) 1.12.
package iso
