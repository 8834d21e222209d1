package main

import (
	"fmt"
	"io"
	"strings"
)

// mostNamed is how many hosts a message names.
const mostNamed = 20

// sameTexts are messages about hosts. One that concerns several hosts is written once.
type sameTexts struct {
	texts []string // in the order of their first hosts
	hosts map[string][]string
}

func (s *sameTexts) add(host, text string) {
	if s.hosts == nil {
		s.hosts = map[string][]string{}
	}
	if s.hosts[text] == nil {
		s.texts = append(s.texts, text)
	}
	s.hosts[text] = append(s.hosts[text], host)
}

func (s *sameTexts) write(w io.Writer) {
	for _, text := range s.texts {
		fmt.Fprintf(w, "%s: %s\n", someOf(s.hosts[text]), text)
	}
}

// someOf lists names, and how many more there are.
func someOf(names []string) string {
	if left := len(names) - mostNamed; left > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:mostNamed], ", "), left)
	}
	return strings.Join(names, ", ")
}
