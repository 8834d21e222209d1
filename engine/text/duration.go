package text

import (
	"fmt"
	"time"
)

// units of time that people count in, the longest first. Each is used from two of it on, so
// that "90 seconds" and "36 hours" stay as people say them.
var units = []struct {
	name string
	d    time.Duration
}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second}}

// Duration is a length of time as people say it: "125 days", "44 minutes", "2 minutes 30
// seconds". Up to ten of a unit the next smaller one is given too, where it is not zero; the
// rest is rounded.
func Duration(d time.Duration) string {
	switch {
	case d < 0:
		return "minus " + Duration(-d)
	case d > 0 && d < time.Second:
		return "less than a second"
	}
	for i, u := range units[:len(units)-1] {
		smaller := units[i+1].d
		if fine := d.Round(smaller); fine == u.d || fine < 10*u.d && fine >= 2*u.d {
			return counted(int(fine/u.d), u.name) + rest(int(fine%u.d/smaller), units[i+1].name)
		}
		if whole := d.Round(u.d); whole >= 10*u.d {
			return counted(int(whole/u.d), u.name)
		}
	}
	return counted(int(d.Round(time.Second)/time.Second), "second")
}

func counted(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

func rest(n int, unit string) string {
	if n == 0 {
		return ""
	}
	return " " + counted(n, unit)
}
