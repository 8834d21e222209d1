package session

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"esxiplan/engine/event"
	"esxiplan/engine/log"
	"esxiplan/engine/proposal"
	"esxiplan/engine/text"
)

// Estimate says, for people, how long the hosts that a proposal installs will take from their
// restart to their proof, by what the log learned of each model; "" where none is installed, or
// the log cannot be read. What comes before the restart depends on this computer and on how many
// hosts wait for each other, so that earlier runs say little about it.
func Estimate(state string, p *proposal.Proposal) string {
	models := installedModels(p)
	if len(models) == 0 {
		return ""
	}
	past, err := log.Read(state)
	if err != nil {
		return ""
	}
	var each []string
	for _, model := range models {
		each = append(each, estimateOf(model, past.Expected(model, event.PhaseRestart)))
	}
	return "Estimated time from a host's restart to its proof: " + strings.Join(each, "; ") + "."
}

// installedModels are the models of the machines that a proposal installs, each once, in the
// order of the plan; "" is one that the BMC does not report.
func installedModels(p *proposal.Proposal) (models []string) {
	for _, h := range p.With(proposal.Install) {
		model := ""
		if h.Machine != nil {
			model = h.Machine.Model
		}
		if !slices.Contains(models, model) {
			models = append(models, model)
		}
	}
	return models
}

// estimateOf is the estimate for one model, in words.
func estimateOf(model string, e *event.Expected) string {
	if model == "" {
		model = "machines of unknown model"
	}
	words := func(s event.Seconds) string { return text.Duration(time.Duration(s)) }
	switch {
	case e == nil:
		return "unknown for " + model + " (no earlier run)"
	case e.Runs == 1:
		return fmt.Sprintf("%s for %s (one earlier installation)", words(e.Median), model)
	}
	return fmt.Sprintf("%s for %s (median of %d earlier installations; the fastest took %s, the slowest %s)", words(e.Median), model, e.Runs, words(e.Low), words(e.High))
}
