package state

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"

	"esxiplan/engine/private"
)

// screens is the folder of what machines showed on their screens, in the state folder.
const screens = "screens"

// longestHost is how much of a host's name a file bears, in bytes.
const longestHost = 100

// KeepScreen writes what the screen of a host's machine showed at a time to a file of its own
// in the state folder, which this user alone may read, and returns its name.
func KeepScreen(dir, host string, at time.Time, png []byte) (file string, err error) {
	if err := Make(dir); err != nil {
		return "", err
	}
	folder, err := private.MakeSub(dir, screens)
	if err != nil {
		return "", err
	}
	defer folder.Close()
	base := fileName(host) + "-" + at.UTC().Format("20060102-150405")
	for n := 1; ; n++ { // names of two hosts may be made the same
		name := base + ".png"
		if n > 1 {
			name = base + "-" + strconv.Itoa(n) + ".png"
		}
		if err := private.Create(folder, name, png); !errors.Is(err, fs.ErrExist) {
			return filepath.Join(dir, screens, name), err
		}
	}
}

// fileName makes a part of a file's name of the name of a host, which may have any character.
func fileName(host string) string {
	name := strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) || strings.ContainsRune("-_.", r) {
			return r
		}
		return '_'
	}, host)
	name = strings.TrimLeft(name, ".-")
	if name == "" {
		name = "host"
	}
	return name[:min(len(name), longestHost)]
}
