// Package event is what a run says: [Event] is the one type that views, reports and other
// programs read, and [Change] a write as a value, with what came of it ([Settled]) and what
// it means for an installation ([Verdict]). It is plain data with a version ([Schema]):
// fields are added, never re-used.
//
// The package knows neither the doors nor the steps; who emits events is package lane (how
// tasks and hosts end) and package local (what an attempt writes meanwhile). It leaves out
// how events look (cmd/internal/view) and how they are kept (engine/log).
package event
