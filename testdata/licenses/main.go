// Command licenses lists the modules that are linked into esxiplan with their licenses, and
// refuses one whose license is not known to allow that in a program under Apache-2.0.
//
// Usage: go run ./testdata/licenses [-write]
//
// It compares with testdata/licenses/list.txt, so that a new dependency, or another license
// of one, shows in review; -write renews that file.
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const list = "testdata/licenses/list.txt"

// licenses are those that may be linked into a program under Apache-2.0, each with words of
// its text that no other one has. The order matters: the first that fits is it.
var licenses = []struct {
	name  string
	words []string
}{
	{"Apache-2.0", []string{"Apache License", "Version 2.0"}},
	{"MPL-2.0", []string{"Mozilla Public License", "2.0"}},
	{"BSD-3-Clause", []string{"Redistribution and use in source and binary forms", "endorse or promote products"}},
	{"BSD-2-Clause", []string{"Redistribution and use in source and binary forms"}},
	{"MIT", []string{"Permission is hereby granted, free of charge"}},
	{"ISC", []string{"Permission to use, copy, modify, and/or distribute this software"}},
}

func main() {
	write := flag.Bool("write", false, "write the list instead of comparing with it")
	flag.Parse()
	if err := run(*write); err != nil {
		fmt.Fprintln(os.Stderr, "licenses:", err)
		os.Exit(1)
	}
}

func run(write bool) error {
	found, err := found()
	if err != nil {
		return err
	}
	if write {
		return os.WriteFile(list, found, 0o644)
	}
	listed, err := os.ReadFile(list)
	if err != nil {
		return err
	}
	if !bytes.Equal(found, listed) {
		return fmt.Errorf("the linked modules and their licenses are not those of %s:\n%s\nLook at what changed, then run: go run ./testdata/licenses -write", list, found)
	}
	fmt.Printf("%d modules, all under licenses that may be linked\n", bytes.Count(found, []byte("\n")))
	return nil
}

// found is the list as it is now, a line for each module.
func found() ([]byte, error) {
	modules, err := linked()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for _, m := range modules {
		license, err := m.license()
		if err != nil {
			return nil, fmt.Errorf("module %s: %w", m.Path, err)
		}
		fmt.Fprintf(&out, "%-50s %s\n", m.Path, license)
	}
	return out.Bytes(), nil
}

type module struct {
	Path, Dir string
	Main      bool
}

// linked are the modules from which a package is part of the program on this system.
func linked() ([]module, error) {
	c := exec.Command("go", "list", "-deps", "-json=Module", "./cmd/esxiplan")
	c.Stderr = os.Stderr
	b, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	seen := map[string]module{}
	for d := json.NewDecoder(bytes.NewReader(b)); ; {
		var p struct{ Module *module }
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		if p.Module != nil && !p.Module.Main {
			seen[p.Module.Path] = *p.Module
		}
	}
	var out []module
	for _, m := range seen {
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b module) int { return cmp.Compare(a.Path, b.Path) })
	return out, nil
}

// license is the name of the license that stands in the module's folder.
func (m module) license() (string, error) {
	names, err := filepath.Glob(filepath.Join(m.Dir, "[LC][IO][CP][EY]*"))
	if err != nil || len(names) == 0 {
		return "", fmt.Errorf("there is no license file in %s", filepath.Base(m.Dir))
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		words := strings.Join(strings.Fields(string(text)), " ")
		for _, l := range licenses {
			if !slices.ContainsFunc(l.words, func(w string) bool { return !strings.Contains(words, w) }) {
				return l.name, nil
			}
		}
	}
	return "", fmt.Errorf("the license in %s is none of those that may be linked; look at it, and leave the module out or add the license", filepath.Base(names[0]))
}
