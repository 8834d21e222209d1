package report

import (
	"regexp"
	"time"
)

// packer writes each text once. Those of many hosts differ in names, numbers and addresses only:
// such a text is a pattern, and the words that stand in it.
type packer struct {
	base  time.Time
	texts []string
	at    map[string]int
}

// place stands for a word in a pattern. No text has it, for it is a control character.
const place = "\x01"

// ownWords are what tells the texts of one host from those of another: words with a digit.
var ownWords = regexp.MustCompile(`[^\s"'(),;=]*[0-9][^\s"'(),;=]*`)

// shortWord is how many bytes a word has that takes less room as it is.
const shortWord = 5

// pack gives what stands for a text: its number, or the number of its pattern with its words.
func (p *packer) pack(text string) any {
	text = clean(text)
	if text == "" {
		return nil
	}
	words := ownWords.FindAllString(text, -1)
	if len(words) == 0 {
		return p.number(text)
	}
	out := []any{p.number(ownWords.ReplaceAllLiteralString(text, place))}
	for _, word := range words {
		if len(word) <= shortWord {
			out = append(out, word)
		} else {
			out = append(out, p.number(word))
		}
	}
	return out
}

// number is which text it is.
func (p *packer) number(text string) int {
	i, known := p.at[text]
	if !known {
		i = len(p.texts)
		p.at[text], p.texts = i, append(p.texts, text)
	}
	return i
}

func (p *packer) all(texts []string) (out []any) {
	for _, t := range texts {
		out = append(out, p.pack(t))
	}
	return out
}

// since is a time in milliseconds after the first one.
func (p *packer) since(t time.Time) int64 { return t.Sub(p.base).Milliseconds() }
