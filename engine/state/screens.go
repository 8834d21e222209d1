package state

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
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

// mostScreen is how many bytes an image of a screen has at most, which is far more than a console
// with text needs.
const mostScreen = 4 << 20

// KeepScreen writes what the screen of a host's machine showed at a time to a file of its own
// in the state folder, which this user alone may read, and returns its name. An image of more than
// 4 MiB is refused. [PruneScreens] removes the files.
func KeepScreen(dir, host string, at time.Time, png []byte) (file string, err error) {
	if len(png) > mostScreen {
		return "", fmt.Errorf("the BMC sent an image of %.1f MB, and at most %.1f MB are kept; look at the machine's console instead", float64(len(png))/1e6, mostScreen/1e6)
	}
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

// PruneScreens removes the images that [KeepScreen] wrote before a time, and returns how many; dry
// only counts them.
func PruneScreens(dir string, before time.Time, dry bool) (n int, err error) {
	folder, err := private.OpenSub(dir, screens)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer folder.Close()
	files, err := fs.ReadDir(folder.FS(), ".")
	for _, f := range files {
		if !isOldScreen(f, before) {
			continue
		}
		if !dry {
			if failed := folder.Remove(f.Name()); failed != nil {
				err = errors.Join(err, failed)
				continue
			}
		}
		n++
	}
	return n, err
}

// screenName is how [KeepScreen] names its files.
var screenName = regexp.MustCompile(`-\d{8}-\d{6}(-\d+)?\.png$`)

// isOldScreen reports a file that [KeepScreen] wrote before a time. A file that another process
// removed meanwhile does not count.
func isOldScreen(f fs.DirEntry, before time.Time) bool {
	info, err := f.Info()
	return err == nil && info.Mode().IsRegular() && screenName.MatchString(f.Name()) && info.ModTime().Before(before)
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
