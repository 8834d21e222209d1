package session

import (
	"fmt"
	"slices"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/log"
	"esxiplan/engine/text"
)

// The estimate uses at most so many earlier runs, the latest.
const estimateFrom = 5

// Estimate says how long the installation of a host took in earlier runs of a plan, for people;
// "" if none of them installed one without a break.
func Estimate(state, plan string) string {
	runs, err := log.List(state)
	if err != nil {
		return ""
	}
	var took []time.Duration
	seen := 0
	for _, i := range runs {
		if i.Plan != plan || i.AdHoc || i.Stages != 1 || seen == estimateFrom {
			continue
		}
		story, err := log.Tell(state, i.Run)
		if err != nil {
			continue
		}
		seen++
		for _, h := range story.Hosts {
			if h.Proof != nil {
				took = append(took, h.Latest.Sub(h.Began))
			}
		}
	}
	if len(took) == 0 {
		return ""
	}
	slices.Sort(took)
	if len(took) == 1 {
		return fmt.Sprintf("Estimated time: %s for a host, as for the one of an earlier run.", text.Duration(took[0]))
	}
	return fmt.Sprintf("Estimated time: %s for a host, as in earlier runs (median of %s; the fastest took %s, the slowest %s).", text.Duration((took[(len(took)-1)/2]+took[len(took)/2])/2),
		event.Count(len(took), "host"), text.Duration(took[0]), text.Duration(took[len(took)-1]))
}
