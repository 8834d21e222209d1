//go:build !unix

package schema

import "time"

var started = time.Now()

// processorTime is elapsed time because the system does not report processor time.
func processorTime() time.Duration { return time.Since(started) }
