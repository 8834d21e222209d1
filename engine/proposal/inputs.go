package proposal

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"esxiplan/engine/text"
	"esxiplan/schema"
)

// Inputs are what a saved plan was made from, as digests.
type Inputs struct {
	Files  map[string]string `json:"files"`            // SHA-256 of the plan's files, by name
	Images map[string]string `json:"images,omitempty"` // SHA-256 of installer images, by path; "" is one that could not be read
	Hosts  schema.Digests    `json:"hosts"`            // of what the plan says of each host
	// Secrets are slow salted hashes, by where the secret comes from.
	Secrets map[string]string `json:"secrets,omitempty"`
	Salt    string            `json:"salt"`
}

// NewSalt makes a salt for the hashes of secrets.
func NewSalt() string {
	b := make([]byte, 16)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// InputsOf digests a plan with these hosts. images are the digests of its installer images.
func InputsOf(p *schema.Plan, hosts []*schema.Host, images map[string]string, salt string) Inputs {
	in := Inputs{Files: map[string]string{}, Images: images, Hosts: p.DigestHosts(hosts), Secrets: fingerprints(p.AllSecretNames(), salt), Salt: salt}
	for name, f := range p.Files {
		if f != nil {
			in.Files[name] = sumOf(f.Bytes)
		}
	}
	return in
}

// A guess at a secret costs as many rounds of SHA-256; it is what OWASP recommends for passwords.
const rounds = 600_000

// ownHashes is how many secrets get a hash of their own. Any further ones, such as a
// password per host, share one: to hash one takes a quarter of a second.
const ownHashes = 8

// others is the name of all secrets without a hash of their own; no plan can have it.
const others = "(other secrets)"

// fingerprints hashes secrets, slowly. texts are the secrets by all their names. The
// result does not show that two names have one text: each name gets another hash.
func fingerprints(texts map[string]string, salt string) map[string]string {
	out, slow := map[string]string{}, map[string][]byte{}
	rest := sha256.New()
	for _, name := range slices.SortedFunc(maps.Keys(texts), bySource) {
		text := texts[name]
		if slow[text] == nil && len(slow) < ownHashes {
			slow[text] = slowHash(text, salt)
		}
		if slow[text] == nil || strings.HasPrefix(name, ofHost) {
			fmt.Fprintf(rest, "%d %s %d %s\n", len(name), name, len(text), text)
			out[others] = ""
			continue
		}
		mac := hmac.New(sha256.New, slow[text])
		mac.Write([]byte(name))
		out[name] = hex.EncodeToString(mac.Sum(nil))
	}
	if _, more := out[others]; more {
		out[others] = hex.EncodeToString(slowHash(string(rest.Sum(nil)), salt))
	}
	return out
}

// ofHost begins the name of a secret of one host, of which there may be thousands.
const ofHost = "host."

// bySource puts the secrets of single hosts last.
func bySource(a, b string) int {
	if x, y := strings.HasPrefix(a, ofHost), strings.HasPrefix(b, ofHost); x != y {
		if x {
			return 1
		}
		return -1
	}
	return strings.Compare(a, b)
}

func slowHash(text, salt string) []byte {
	key, err := pbkdf2.Key(sha256.New, text, []byte(salt), rounds, sha256.Size)
	if err != nil { // only where FIPS mode forbids these parameters
		panic(err)
	}
	return key
}

// clockSkew is how far the clocks of two machines may differ: one makes a plan and another
// applies it.
const clockSkew = 5 * time.Minute

// CheckMade refuses a saved plan that has nothing to apply, or that another version of
// esxiplan made.
func (s *Saved) CheckMade(version string) error {
	switch {
	case s.Proposal.Offline:
		return fmt.Errorf("it was made with --offline, without a look at any machine. Make one that looks: esxiplan plan --out FILE, without --offline")
	case len(s.Proposal.Applicable()) == 0:
		return fmt.Errorf("it has no host to which it could be applied: all of them were refused, unreachable or left out. esxiplan show says why")
	case s.Made.Version != version:
		return fmt.Errorf("esxiplan %s made it, and this is %s, which may act differently. Apply it with that version, or make a new plan", s.Made.Version, version)
	}
	return nil
}

// CheckAge refuses a saved plan that is older than most, or from the future: machines change.
func (s *Saved) CheckAge(now time.Time, most time.Duration) error {
	switch age := now.Sub(s.Made.Time); {
	case age > most:
		return fmt.Errorf("it is %s old, and may be %s at most. Make a new plan, or give --max-age", text.Duration(age), text.Duration(most))
	case age < -clockSkew:
		return fmt.Errorf("it was made in the future by the clock here (%s): set the clock right, or make a new plan", s.Made.Time.Format(time.RFC3339))
	}
	return nil
}

// Check refuses a saved plan whose inputs have changed.
func (s *Saved) Check(now Inputs) error {
	was, is := s.Inputs, now
	var differs []string
	add := func(what string, before, after map[string]string) {
		for _, name := range union(before, after) {
			if before[name] != after[name] {
				differs = append(differs, fmt.Sprintf(what, name))
			}
		}
	}
	add("file %s", was.Files, is.Files)
	differs = append(differs, partsThatDiffer(was.Hosts, is.Hosts)...)
	add("installer image %s", was.Images, is.Images)
	add("secret %s", was.Secrets, is.Secrets)
	if len(differs) > 0 {
		return fmt.Errorf("what it was made from has changed since: %s. Make a new plan and have it approved, or put back what it was made from", strings.Join(differs, "; "))
	}
	return nil
}

// partsThatDiffer names the parts of the plan that changed, with the first of the hosts that
// they concern.
func partsThatDiffer(was, is schema.Digests) (out []string) {
	hosts := map[string][]string{}
	for _, host := range union(was.Digests, is.Digests) {
		before, _ := was.Of(host)
		after, _ := is.Of(host)
		for _, part := range schema.DifferingParts(before, after) {
			hosts[part] = append(hosts[part], host)
		}
	}
	for _, part := range slices.Sorted(maps.Keys(hosts)) {
		of := hosts[part]
		text := fmt.Sprintf("%s of host %s", part, of[0])
		if len(of) > 1 {
			text += fmt.Sprintf(" and %d more", len(of)-1)
		}
		out = append(out, text)
	}
	return out
}

// union are the keys of two maps, sorted.
func union[V any](a, b map[string]V) []string {
	keys := slices.Collect(maps.Keys(a))
	for k := range b {
		if _, both := a[k]; !both {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}
