// Package all lists the step types. A new step is a folder and a line here.
package all

import (
	"esxiplan/engine/step"
	"esxiplan/steps/buildiso"
	"esxiplan/steps/eject"
	"esxiplan/steps/insert"
	"esxiplan/steps/onetimeboot"
	"esxiplan/steps/power"
	"esxiplan/steps/precheck"
	"esxiplan/steps/wait"
)

// Types returns the step types in the order of an installation.
func Types() []*step.Type {
	return []*step.Type{
		precheck.Type,
		buildiso.Type,
		eject.Type,
		insert.Type,
		onetimeboot.Type,
		power.Type,
		wait.Type,
	}
}
