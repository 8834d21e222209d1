package media

import (
	"fmt"
	"os"

	"esxiplan/engine/media/isocheck"
	"esxiplan/engine/text"
)

// Verify checks an image strictly and, where base is given, that it is that installer
// image with an overlay. The base is judged first: a comparison with anything other
// than an installer image says nothing. Errors are about reading. Names
// from the image contain no terminal escapes.
func Verify(path, base string) (isocheck.Report, error) {
	report, err := verify(path, base)
	text.Value(&report)
	return report, err
}

func verify(path, base string) (isocheck.Report, error) {
	f, size, err := openSized(path)
	if err != nil {
		return isocheck.Report{}, err
	}
	defer f.Close()
	report, err := isocheck.Check(f, size)
	if err != nil || base == "" {
		return report, err
	}
	b, baseSize, err := openSized(base)
	if err != nil {
		return report, err
	}
	defer b.Close()
	problem, err := baseProblem(b, baseSize, base)
	if err != nil {
		return report, err
	}
	if problem != "" {
		report.Findings = append(report.Findings, isocheck.Finding{Severity: isocheck.Error, Rule: "base", Text: base + " " + problem})
		return report, nil
	}
	compared, err := isocheck.Compare(f, size, b, baseSize)
	for _, found := range compared.Findings {
		found.Text = fmt.Sprintf("%s was not built from %s: %s", path, base, found.Text)
		report.Findings = append(report.Findings, found)
	}
	return report, err
}

// openSized opens a regular file and returns its length.
func openSized(path string) (*os.File, int64, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// baseProblem says why a file is not an image from which a host's can be built.
func baseProblem(f *os.File, size int64, path string) (string, error) {
	problem, err := isocheck.CheckBase(f, size)
	if err != nil || problem != "" {
		return problem, err
	}
	if _, err := newInstaller(f, path, nil); err != nil {
		return "is not an ESXi installer image: " + err.Error(), nil
	}
	return "", nil
}
