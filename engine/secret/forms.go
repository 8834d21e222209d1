package secret

import (
	"encoding/hex"
	"strings"

	"esxiplan/engine/text"
)

// formsOf are the encodings of a long secret without escapes.
func formsOf(secret string) []string {
	forms := append([]string{secret}, hexOf(secret)...)
	if blanks := strings.ReplaceAll(secret, " ", "+"); blanks != secret { // as in the query of a URL
		forms = append(forms, blanks)
	}
	for _, read := range []string{asLatin1(secret), text.Clean(secret)} { // a door cleans what a machine says before it is masked
		if read != secret {
			forms = append(forms, read)
		}
	}
	for _, encoding := range encodings {
		for before := range 3 {
			encoded := encoding.EncodeToString(append(make([]byte, before), secret...))
			first := (before*8 + 5) / 6            // the characters before it contain bits of the preceding text
			last := (before + len(secret)) * 8 / 6 // and the one at it of the following text
			forms = append(forms, encoded[first:last])
		}
	}
	return forms
}

// asLatin1 is what a machine makes of a text if it takes bytes for characters.
func asLatin1(text string) string {
	characters := make([]rune, len(text))
	for i := range len(text) {
		characters[i] = rune(text[i])
	}
	return string(characters)
}

func hexOf(text string) []string {
	lower := hex.EncodeToString([]byte(text))
	return []string{lower, strings.ToUpper(lower)}
}
