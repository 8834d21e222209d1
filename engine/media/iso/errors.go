package iso

import "fmt"

// Reason says in one word why an image cannot be used.
type Reason string

// The reasons for which an image is refused.
const (
	NotISO        Reason = "not ISO 9660"
	Truncated     Reason = "truncated"
	BlockSize     Reason = "block size"
	SecondSystem  Reason = "second file system" // UDF or HFS+, which would still show the old files
	Broken        Reason = "broken"
	Contradiction Reason = "contradiction" // two places of the image say different things
	Ambiguous     Reason = "ambiguous"     // two entries answer to one name
	Compressed    Reason = "zisofs"
	SymbolicLink  Reason = "symbolic link"
	SeveralExtent Reason = "multi-extent"
	Interleaved   Reason = "interleaved"
	DeepTree      Reason = "relocated deep directories" // Rock Ridge CL, PL, RE in a directory that must move
	LongRecord    Reason = "continued record"           // of a file in a directory that must move
	TooLarge      Reason = "beyond 4 GiB"
	BadChange     Reason = "change" // the change, not the image, is at fault
)

// Unsupported is an image, or a change to it, that cannot be handled without
// doing harm.
type Unsupported struct {
	Reason Reason
	Detail string // for people: a whole clause
}

func (e *Unsupported) Error() string { return e.Detail }

func refuse(r Reason, format string, values ...any) error {
	return &Unsupported{r, fmt.Sprintf(format, values...)}
}

// DirectoryFull is a directory without room for another record, in an overlay
// that was not allowed to relocate.
type DirectoryFull struct{ Path string }

func (e *DirectoryFull) Error() string {
	return "directory " + e.Path + " of the image has no room for another entry"
}

// NotExist is a path that the image does not hold.
type NotExist struct{ Path string }

func (e *NotExist) Error() string { return "the image holds no " + e.Path }
