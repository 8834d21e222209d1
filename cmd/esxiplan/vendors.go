package main

import (
	"fmt"
	"io"
	"strings"

	"esxiplan/engine/bmc/bmcsim"
	"esxiplan/engine/bmc/vendors"
)

// vendorsTopic is the word for the vendors' reference.
const vendorsTopic = "vendors"

// writeVendors writes engine/bmc/README.md: each vendor, each quirk with its source, and
// the simulated firmware that behaves so.
func writeVendors(w io.Writer) {
	fmt.Fprintf(w, "<!-- Written by make docs; a test fails when it is stale. -->\n\n# BMCs\n\n")
	fmt.Fprintf(w, "The standard driver is adaptive: it follows the links and actions that a BMC shows, "+
		"tries the smallest request and adds what the BMC asks for, and reads back what it wrote. "+
		"What follows differs from it. Section numbers are those of the project's collection of facts; "+
		"recordings are answers of real BMCs, against which the drivers are tested.\n\n")
	for _, v := range vendors.All() {
		fmt.Fprintf(w, "## %s\n\n%s.\n\n", v.Name, v.Summary)
		if len(v.Quirks) == 0 {
			continue
		}
		fmt.Fprintf(w, "| difference | models, firmware | source | simulated by |\n|---|---|---|---|\n")
		for _, q := range v.Quirks {
			fmt.Fprintf(w, "| %s | %s | %s | %s |\n", q.What, q.Models, q.Source, orNone(q.Profiles))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "# Simulated firmware\n\nFor `rehearse` and `sim`: `--profile HOST=NAME`. A vendor's first is its usual one. *Facts only*: "+
		"there is no recording of such a BMC.\n\n| name | model | firmware | source | |\n|---|---|---|---|---|\n")
	for _, p := range bmcsim.All() {
		only := ""
		if p.FactsOnly {
			only = "facts only"
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s |\n", p.Name, p.Model, strings.TrimSpace(p.Generation+" "+p.Firmware), p.Source, only)
	}
}

func orNone(profiles string) string {
	if profiles == "" {
		return "none"
	}
	return strings.Join(strings.Fields(profiles), ", ")
}
