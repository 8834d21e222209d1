//go:build !unix

package descriptor

// Limit is not known here.
func Limit() (n int, known bool) { return 0, false }
