// Package metrics writes what a run came to as a file for the textfile collector of
// Prometheus' node_exporter.
//
// [Run] folds the events of a run; [Run.WriteFile] writes the file, whole or not at all. The
// series have the plan and the step as labels, and no host: their number does not grow with
// the fleet. The name of the run is a label of esxiplan_run_info only.
package metrics
