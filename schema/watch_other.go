//go:build !unix

package schema

import "time"

var started = time.Now()

// processorTime is elapsed time where the system does not tell the other.
func processorTime() time.Duration { return time.Since(started) }
