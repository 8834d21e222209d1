package media

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// TestWrittenFollows: the size of a growing file is reported once a second, never beyond the whole,
// and no more once that is stopped.
func TestWrittenFollows(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "image.iso"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	synctest.Test(t, func(t *testing.T) {
		var got [][2]int64
		stop := Written(func(done, total int64) { got = append(got, [2]int64{done, total}) }).follow(f, 100)
		for _, size := range []int64{40, 70, 130} {
			if err := f.Truncate(size); err != nil {
				t.Fatal(err)
			}
			time.Sleep(lookEvery)
			synctest.Wait()
		}
		stop()
		time.Sleep(time.Minute)
		if len(got) != 3 || got[0] != [2]int64{40, 100} || got[1] != [2]int64{70, 100} || got[2] != [2]int64{100, 100} {
			t.Errorf("%v", got)
		}
	})
	Written(nil).follow(f, 100)()
}
