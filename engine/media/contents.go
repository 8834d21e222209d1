package media

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"esxiplan/engine/media/iso"
	"esxiplan/engine/media/kickstart"
)

// Contents are what is on a medium, in a form that can be shown and compared: secrets
// are there as digests only.
type Contents struct {
	Kickstart string            `json:"kickstart,omitempty"` // secrets hidden
	Secrets   map[string]string `json:"secrets,omitempty"`   // digests, by what it is
	Options   []string          `json:"kernel_options,omitempty"`
	Source    SourceContents    `json:"source,omitzero"`
}

// SourceContents name the installer image under a medium.
type SourceContents struct {
	File    string `json:"file"` // as the plan gives it
	Version string `json:"version"`
	Build   string `json:"build"`
	SHA256  string `json:"sha256"`
}

func (s SourceContents) String() string {
	text := filepath.Base(s.File)
	if s.Version != "" {
		text += " " + s.Version
	}
	if s.Build != "" {
		text += " build " + s.Build
	}
	if s.SHA256 != "" {
		text += " (sha256 " + s.SHA256[:min(12, len(s.SHA256))] + "…)"
	}
	return text
}

// known reports whether the manifest's writer noted contents: earlier versions did not.
func (c Contents) known() bool { return c.Kickstart != "" }

// contents returns those of a request and a source, with a kickstart that holds its secrets.
func (r Request) contents(script []byte, s SourceContents, salt string) Contents {
	return Contents{Kickstart: kickstart.Hide(string(script)), Secrets: kickstart.SecretDigests(string(script), salt), Options: r.Options, Source: s}
}

// differences says in words what differs between what is on the medium and what the plan
// gives now. It is empty if nothing differs.
func (c Contents) differences(now Contents) (out []string) {
	if !c.Source.is(now.Source) {
		out = append(out, fmt.Sprintf("source image: %s → %s", c.Source, now.Source))
	}
	if !slices.Equal(c.Options, now.Options) {
		out = append(out, fmt.Sprintf("kernel options: %s on the medium, %s in the plan", optionsText(c.Options), optionsText(now.Options)))
	}
	out = append(out, kickstart.Differences(c.Kickstart, now.Kickstart)...)
	for _, what := range paths(c.Secrets, now.Secrets) {
		before, was := c.Secrets[what]
		if digest, is := now.Secrets[what]; was && is && before != digest {
			out = append(out, what)
		}
	}
	return out
}

func optionsText(options []string) string { return cmp.Or(strings.Join(options, " "), "none") }

// is compares two sources by what is known of both: by content, else by the path that the
// plan gives; version and build are those that go into a kickstart's judgement and the proof.
func (s SourceContents) is(other SourceContents) bool {
	same := s.SHA256 == other.SHA256
	if s.SHA256 == "" || other.SHA256 == "" {
		same = filepath.Clean(s.File) == filepath.Clean(other.File)
	}
	given := func(a, b string) bool { return a == "" || b == "" || a == b }
	return same && given(s.Version, other.Version) && given(s.Build, other.Build)
}

// ownPart is a run of bytes that was laid over the source, by its digest.
type ownPart struct {
	Offset int64  `json:"offset"`
	Length int64  `json:"length"`
	SHA256 string `json:"sha256"`
}

// ownParts are those of an image.
func ownParts(image *iso.Image) (out []ownPart) {
	for s := range image.Segments() {
		if s.Kind == iso.FromData {
			out = append(out, ownPart{s.Off, s.Len, digestOf(s.Data)})
		}
	}
	return out
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
