package proposal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"esxiplan/engine/event"
)

// Saved is a proposal in a file, with all that is compared when it is applied. It holds no
// secret.
type Saved struct {
	Kind     string    `json:"kind"`
	Schema   int       `json:"schema"`
	Made     Made      `json:"made"`
	Request  Request   `json:"request"`
	Inputs   Inputs    `json:"inputs"`
	Proposal *Proposal `json:"proposal"`

	// Checksum is of the bytes of the file before it, and identifies the saved plan.
	Checksum string `json:"-"`
}

// Kind is the kind of document that a file says it is.
const Kind = "esxiplan saved plan"

// Made says who made a proposal, when and with which esxiplan. Comparisons of
// proposals ignore it.
type Made struct {
	Time    time.Time `json:"time"`
	By      event.Who `json:"by"`
	Version string    `json:"version"`
	// Estimate is how long its hosts may take from the restart to the proof, for people; "" where
	// none is installed.
	Estimate string `json:"estimate,omitempty"`
}

// Request is what was requested, so that applying requests the same. Sensitive variables are
// not in it.
type Request struct {
	Paths     []string `json:"paths"`
	Set       []string `json:"set,omitempty"` // variables: name=value
	VarFiles  []string `json:"var_files,omitempty"`
	AllowRead []string `json:"allow_read,omitempty"`
	AllowEnv  []string `json:"allow_env,omitempty"`
	Steps     []string `json:"steps"`
	Hosts     []string `json:"hosts"`
	Again     bool     `json:"again,omitempty"`
	KeepMedia bool     `json:"keep_media,omitempty"`
}

// ErrNoPlan is a file that is not a saved plan.
var ErrNoPlan = errors.New("it is not a saved plan: esxiplan plan --out FILE writes those")

// most is the size of the largest file that is read: 10,000 hosts of which each has a kickstart
// of its own take a third of it.
const most = 256 << 20

// The checksum is the last line but one of a file.
const (
	sumBegins = ",\n  \"checksum\": \"sha256:"
	sumEnds   = "\"\n}\n"
)

// Encode writes a saved plan, and gives it its checksum.
func (s *Saved) Encode() ([]byte, error) {
	s.Kind, s.Schema = Kind, Schema
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, err
	}
	b = bytes.TrimSuffix(b, []byte("\n}"))
	s.Checksum = sumOf(b)
	return append(b, sumBegins+s.Checksum+sumEnds...), nil
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Decode reads a saved plan.
func Decode(b []byte) (*Saved, error) {
	body, rest, ok := cutLast(b, sumBegins)
	sum, whole := strings.CutSuffix(rest, sumEnds)
	var head struct {
		Kind   string
		Schema int
	}
	switch err := json.Unmarshal(b, &head); {
	case err != nil && !bytes.Contains(b[:min(len(b), 200)], []byte(Kind)), err == nil && head.Kind != Kind:
		return nil, ErrNoPlan
	case err == nil && head.Schema > Schema:
		return nil, fmt.Errorf("a newer esxiplan wrote it (form %d; this one reads forms up to %d): apply it with that version", head.Schema, Schema)
	case err != nil, !ok, !whole, sumOf(body) != sum:
		return nil, errors.New("it was changed since it was written, or a part is missing: its checksum does not fit. Make a new plan (esxiplan plan --out FILE)")
	}
	s := &Saved{Checksum: sum}
	if err := json.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("it cannot be understood: %w. Make a new plan (esxiplan plan --out FILE)", err)
	}
	return s, s.checkComplete()
}

// checkComplete refuses what no esxiplan writes: anyone can make a checksum.
func (s *Saved) checkComplete() error {
	if s.Proposal == nil || len(s.Request.Paths) == 0 || slices.Contains(s.Proposal.Hosts, nil) {
		return errors.New("it lacks a part that every saved plan has. Make a new plan (esxiplan plan --out FILE)")
	}
	return nil
}

func cutLast(b []byte, sep string) (before []byte, after string, ok bool) {
	i := bytes.LastIndex(b, []byte(sep))
	if i < 0 {
		return nil, "", false
	}
	return b[:i], string(b[i+len(sep):]), true
}

// Read reads the file of a saved plan.
func Read(path string) (*Saved, error) {
	s, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("saved plan %s: %w", path, err)
	}
	return s, nil
}

func read(path string) (*Saved, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, reasonOf(err)
	case !info.Mode().IsRegular():
		return nil, ErrNoPlan
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, reasonOf(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	switch {
	case err != nil:
		return nil, reasonOf(err)
	case len(b) > most:
		return nil, fmt.Errorf("it has more than %d MB, which no saved plan has", most>>20)
	}
	return Decode(b)
}

// reasonOf is an error of a file without its path, which the caller names.
func reasonOf(err error) error {
	var of *os.PathError
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}

// Write writes the file of a saved plan, which appears as a whole. It replaces another
// saved plan, and no other file.
func (s *Saved) Write(path string) error {
	b, err := s.Encode()
	if err == nil {
		err = replaceable(path)
	}
	if err == nil {
		err = writeWhole(path, b)
	}
	if err != nil {
		return fmt.Errorf("cannot save the plan to %s: %w", path, err)
	}
	return nil
}

// replaceable reports a path with no file, or with a saved plan, whole or not.
func replaceable(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return reasonOf(err)
	case !info.Mode().IsRegular():
		return errors.New("there is something else than a file. Give another name")
	}
	if _, err := Read(path); errors.Is(err, ErrNoPlan) {
		return errors.New("there is a file that is not a saved plan, and it is not overwritten. Give another name, or remove it")
	}
	return nil
}

func writeWhole(path string, b []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".esxiplan-plan-*")
	if err != nil {
		return reasonOf(err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(b); err != nil {
		return reasonOf(err)
	}
	if err = errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Applicable lists the hosts to which the plan can be applied: those that it does not refuse and
// whose machines it has seen.
func (p *Proposal) Applicable() (hosts []string) {
	for _, h := range p.With(Install, Change, Unchanged) {
		hosts = append(hosts, h.Host)
	}
	return hosts
}
