package schema

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// pattern is the label of a host block, cut at its ranges: "esxi[01:40]" stands for 40
// names. As in Ansible's inventories, the last number counts, zeros at the front are kept,
// a third number is the step, letters count as numbers do, and several ranges multiply: the
// last one runs fastest.
type pattern struct {
	label  string
	texts  []string // around the ranges, one more than there are ranges
	ranges []span
}

// span is one range of a pattern.
type span struct {
	first, step, count uint64
	width              int  // of numbers that are filled up with zeros, 0: they are not
	letters            bool // first is a character
}

// longestNumber is how many digits a number of a range has at most.
const longestNumber = 18

func parsePattern(label string) (pattern, error) {
	p := pattern{label: label}
	for rest := label; ; {
		before, after, open := strings.Cut(rest, "[")
		p.texts = append(p.texts, before)
		if strings.Contains(before, "]") {
			return p, errors.New("there is a ] without a [ before it")
		}
		if !open {
			return p, nil
		}
		inside, behind, closed := strings.Cut(after, "]")
		if !closed {
			return p, errors.New("there is a [ without a ] behind it")
		}
		s, err := parseSpan(inside)
		if err != nil {
			return p, err
		}
		p.ranges, rest = append(p.ranges, s), behind
	}
}

// count is the number of names, and most+1 if there are more than most.
func (p pattern) count(most int) int {
	n := uint64(1)
	for _, s := range p.ranges {
		if s.count > uint64(most)/n {
			return most + 1
		}
		n *= s.count
	}
	return int(n)
}

// name is the i-th name.
func (p pattern) name(i int) string {
	name, rest := "", uint64(i)
	for k := len(p.ranges) - 1; k >= 0; k-- {
		s := p.ranges[k]
		name = s.text(rest%s.count) + p.texts[k+1] + name
		rest /= s.count
	}
	return p.texts[0] + name
}

func (s span) text(i uint64) string {
	n := s.first + i*s.step
	if s.letters {
		return string(rune(n))
	}
	return fmt.Sprintf("%0*d", s.width, n)
}

// parseSpan reads the text between the brackets.
func parseSpan(text string) (span, error) {
	if ip, err := netip.ParseAddr(text); err == nil && ip.Is6() {
		return span{}, fmt.Errorf("[%s] is an address, not a range. As the name of a host write it without brackets, %q; with a port it belongs in bmc.address", text, text)
	}
	parts := strings.Split(text, ":")
	step := uint64(1)
	if len(parts) == 3 {
		n, err := strconv.ParseUint(parts[2], 10, 32)
		if err != nil || n == 0 {
			return span{}, fmt.Errorf("[%s] has the step %q, which must be a number from 1 on", text, parts[2])
		}
		step, parts = n, parts[:2]
	}
	if len(parts) != 2 {
		return span{}, notARange(text)
	}
	s, last, err := ends(text, parts[0], parts[1])
	if err != nil {
		return s, err
	}
	if last < s.first {
		return s, fmt.Errorf("[%s] ends before it begins", text)
	}
	s.step, s.count = step, (last-s.first)/step+1
	return s, nil
}

func notARange(text string) error {
	return fmt.Errorf("[%s] is not a range: write the first and the last one, such as [01:40] or [a:f], and a third number to take every second one only, [01:40:2]", text)
}

// ends reads the first and the last of a range.
func ends(text, from, to string) (s span, last uint64, err error) {
	if len(from) == 1 && len(to) == 1 && letterCase(from[0]) != 0 && letterCase(from[0]) == letterCase(to[0]) {
		return span{first: uint64(from[0]), letters: true}, uint64(to[0]), nil
	}
	for _, digits := range []string{from, to} {
		if digits == "" || strings.Trim(digits, "0123456789") != "" {
			return s, 0, notARange(text)
		}
		if len(digits) > longestNumber {
			return s, 0, fmt.Errorf("[%s] has a number of more than %d digits", text, longestNumber)
		}
		if len(digits) > 1 && digits[0] == '0' {
			s.width = len(digits)
		}
	}
	if s.width > 0 && len(from) != len(to) {
		return s, 0, fmt.Errorf("[%s] must have as many digits in its first number as in its last one, such as [001:100], or no zeros before them, [1:100]", text)
	}
	s.first, _ = strconv.ParseUint(from, 10, 64)
	last, _ = strconv.ParseUint(to, 10, 64)
	return s, last, nil
}

// letterCase distinguishes small letters, capital letters and other characters.
func letterCase(c byte) int {
	switch {
	case c >= 'a' && c <= 'z':
		return 1
	case c >= 'A' && c <= 'Z':
		return 2
	}
	return 0
}
