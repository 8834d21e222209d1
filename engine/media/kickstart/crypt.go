package kickstart

import (
	"crypto/rand"
	"crypto/sha512"
	"slices"
	"strings"
)

// cryptRounds is the default of the scheme, and the only number that ESXi takes:
// it rejects "$6$rounds=…$".
const cryptRounds = 5000

const cryptAlphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// NewSalt returns 16 random characters of the crypt alphabet.
func NewSalt() string {
	b := make([]byte, 16)
	rand.Read(b)
	for i := range b {
		b[i] = cryptAlphabet[b[i]&63]
	}
	return string(b)
}

// Crypt hashes a password as "$6$salt$…" (SHA-512 crypt by U. Drepper,
// the scheme of Linux and ESXi). The salt has at most 16 characters.
func Crypt(password, salt string) string {
	h := sha512.New()
	// sum hashes its parts; one hash serves for the thousands of rounds.
	sum := func(into []byte, parts ...[]byte) []byte {
		h.Reset()
		for _, part := range parts {
			h.Write(part)
		}
		return h.Sum(into[:0])
	}
	p, s := []byte(password), []byte(salt)
	alternate := sum(nil, p, s, p)
	first := [][]byte{p, s, stretch(alternate, len(p))}
	for n := len(p); n > 0; n >>= 1 {
		if n&1 == 1 {
			first = append(first, alternate)
		} else {
			first = append(first, p)
		}
	}
	digest := sum(nil, first...)
	ps := stretch(sum(nil, slices.Repeat([][]byte{p}, len(p))...), len(p))
	ss := stretch(sum(nil, slices.Repeat([][]byte{s}, 16+int(digest[0]))...), len(s))
	parts := make([][]byte, 0, 4)
	for round := range cryptRounds {
		digest = sum(digest, mix(parts, round, digest, ps, ss)...)
	}
	return "$6$" + salt + "$" + cryptEncode(digest)
}

// mix lists what one round hashes.
func mix(parts [][]byte, round int, digest, ps, ss []byte) [][]byte {
	first, last := digest, ps
	if round&1 == 1 {
		first, last = ps, digest
	}
	parts = append(parts[:0], first)
	if round%3 != 0 {
		parts = append(parts, ss)
	}
	if round%7 != 0 {
		parts = append(parts, ps)
	}
	return append(parts, last)
}

func stretch(b []byte, n int) []byte {
	out := make([]byte, 0, n+len(b))
	for len(out) < n {
		out = append(out, b...)
	}
	return out[:n]
}

// cryptEncode writes the digest in the scheme's own order of bytes: three at a
// time, each triple one step further round, as four characters, low bits first.
func cryptEncode(d []byte) string {
	var out strings.Builder
	put := func(v uint, n int) {
		for range n {
			out.WriteByte(cryptAlphabet[v&63])
			v >>= 6
		}
	}
	a, b, c := 0, 21, 42
	for range 21 {
		put(uint(d[a])<<16|uint(d[b])<<8|uint(d[c]), 4)
		a, b, c = b+1, c+1, a+1
	}
	put(uint(d[63]), 2)
	return out.String()
}
