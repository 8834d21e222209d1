//go:build race

package main

// raceDetector: the binary is built with the race detector.
const raceDetector = true
