package secret

import (
	"cmp"
	"encoding/base64"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// shortest is how many characters a secret has that is looked for within words.
const shortest = 6

// Short reports whether a secret is masked as a whole value only.
func Short(text string) bool { return utf8.RuneCountInString(text) < shortest }

// Masker masks secrets in texts. It may be used by several goroutines.
type Masker struct {
	hidden string

	mu    sync.RWMutex
	known map[string]bool
	forms table               // of secrets that are looked for everywhere
	given table               // forms of what machines gave
	by    map[string][]string // those, by machine
	words node                // forms of short ones
	short bool                // there are some
}

// New knows no secret yet; hidden replaces each one.
func New(hidden string) *Masker {
	return &Masker{hidden: hidden, known: map[string]bool{}, forms: newTable(), given: newTable(), by: map[string][]string{}}
}

// Add takes in secrets. Each line of one counts by itself, too: streams are masked line by
// line.
func (m *Masker) Add(secrets ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, text := range secrets {
		m.add(text)
		if strings.ContainsAny(text, "\r\n") {
			for line := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\r' || r == '\n' }) {
				if !Short(line) {
					m.add(line)
				}
			}
		}
	}
}

// AddLogin takes in a password, and its form in Basic authentication, which may also come
// back in each form.
func (m *Masker) AddLogin(user, password string) {
	if strings.TrimSpace(password) == "" {
		return
	}
	m.Add(password)
	for _, encoding := range encodings {
		m.Add(encoding.EncodeToString([]byte(user + ":" + password)))
	}
}

// tokenTakes is the minimum length of a text that a machine may declare a secret: else it
// could blank words of its choice.
const tokenTakes = 12

// AddToken takes in the secret that a machine gave for a session. The machine chose it, so
// that a short one, or one with blanks, does not count as one, and it is masked in data of that
// machine only: it may be a word in the data of others.
func (m *Masker) AddToken(machine, token string) {
	if len(token) < tokenTakes || strings.ContainsAny(token, " \t\r\n") {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, form := range formsOf(token) {
		m.given.add(form)
		if of := m.by[machine]; !slices.Contains(of, form) {
			m.by[machine] = append(of, form)
		}
	}
}

func (m *Masker) add(text string) {
	if strings.TrimSpace(text) == "" || m.known[text] {
		return
	}
	m.known[text] = true
	if !Short(text) {
		for _, form := range formsOf(text) {
			m.forms.add(form)
		}
		return
	}
	m.word(text)
	for _, form := range hexOf(text) {
		m.word(form)
	}
	for _, encoding := range encodings {
		m.word(encoding.EncodeToString([]byte(text)))
	}
}

// word takes in a text that is masked only as a whole word.
func (m *Masker) word(text string) {
	m.words.add(text)
	m.short = true
}

// encodings of base64; padding follows what they write.
var encodings = []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding}

// Mask masks secrets in a text.
func (m *Masker) Mask(text string) string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.mask(text, m.short, m.given.scan)
}

// MaskResult masks secrets in facts about a machine, which a later run reads back: tokens of
// other machines stay.
func (m *Masker) MaskResult(machine, text string) string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.mask(text, m.short, m.givenBy(machine))
}

// MaskState masks secrets in a state or an address, which is compared later: a [Short]
// one stays, too, because it may be a word such as On.
func (m *Masker) MaskState(machine, text string) string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.mask(text, false, m.givenBy(machine))
}

// givenBy finds the secrets of one machine. They are few, so it needs no table.
func (m *Masker) givenBy(machine string) func(text string, found func(from, to int)) {
	forms := m.by[machine]
	return func(text string, found func(from, to int)) {
		for _, form := range forms {
			for end := 0; ; {
				i := strings.Index(text[end:], form)
				if i < 0 {
					break
				}
				end += i + len(form)
				found(end-len(form), end)
			}
		}
	}
}

// mask takes out the forms of secrets, short ones where asked to, and what given finds.
func (m *Masker) mask(text string, short bool, given func(text string, found func(from, to int))) string {
	f := &finder{masker: m, text: text, short: short, given: given}
	f.look(reading{text: text}, layers)
	if len(f.found) == 0 {
		return text
	}
	return f.replaced()
}

// span is a part of the text, from a byte to before another one.
type span struct {
	from, to int
	quoted   bool // its place is that of a JSON value
}

// finder collects where secrets are in one text.
type finder struct {
	masker *Masker
	text   string
	short  bool
	given  func(text string, found func(from, to int))
	found  []span

	numbers, slashes run // those looked at last
	bare             bool
}

// layers is how many encodings around each other are undone.
const layers = 3

// look finds the secrets in one reading of the text, and in what its escapes stand for.
func (f *finder) look(r reading, depth int) {
	note := func(from, to int) { f.add(r, from, to) }
	f.masker.forms.scan(r.text, note)
	f.given(r.text, note)
	if f.short {
		f.lookForWords(r)
	}
	if depth == 0 {
		return
	}
	for _, e := range escapes {
		if inner, any := r.decode(e); any {
			f.look(inner, depth-1)
		}
	}
}

func (f *finder) lookForWords(r reading) {
	for i := range len(r.text) {
		f.masker.words.walk(r.text[i:], func(n int, whole bool) {
			if whole && standsAlone(r.text, i, i+n) {
				f.add(r, i, i+n)
			}
		})
	}
}

// add notes a place of a reading, in terms of the text.
func (f *finder) add(r reading, from, to int) {
	s := f.whole(span{from: r.place(from), to: r.place(to)})
	if n := len(f.found) - 1; n >= 0 && f.found[n].from <= s.from && s.from <= f.found[n].to {
		f.found[n].to = max(f.found[n].to, s.to)
		f.found[n].quoted = f.found[n].quoted || s.quoted
		return
	}
	f.found = append(f.found, s)
}

// replaced is the text with every place hidden, once where several meet.
func (f *finder) replaced() string {
	slices.SortFunc(f.found, func(a, b span) int { return cmp.Or(a.from-b.from, a.to-b.to) })
	var b strings.Builder
	end := 0
	for i := 0; i < len(f.found); {
		s := f.found[i]
		for i++; i < len(f.found) && f.found[i].from <= s.to; i++ {
			s.to, s.quoted = max(s.to, f.found[i].to), s.quoted || f.found[i].quoted
		}
		b.WriteString(f.text[end:s.from])
		if s.quoted {
			b.WriteString(`"` + f.masker.hidden + `"`)
		} else {
			b.WriteString(f.masker.hidden)
		}
		end = s.to
	}
	b.WriteString(f.text[end:])
	return b.String()
}
