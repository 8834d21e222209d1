package media

import (
	"os"
	"time"
)

// Written takes in how many bytes of an image are written, of how many. It is not called for
// an image that is there within a second.
type Written func(done, total int64)

// lookEvery is how often the size of a growing file is looked at.
const lookEvery = time.Second

// follow tells how a file grows to its size, until stop is called. The file is looked at, as the
// kernel may write it without a detour through this process.
func (w Written) follow(f *os.File, size int64) (stop func()) {
	if w == nil {
		return func() {}
	}
	stopping, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		looks := time.NewTicker(lookEvery)
		defer looks.Stop()
		for {
			select {
			case <-looks.C:
				if info, err := f.Stat(); err == nil {
					w(min(info.Size(), size), size)
				}
			case <-stopping:
				return
			}
		}
	}()
	return func() {
		close(stopping)
		<-stopped
	}
}
