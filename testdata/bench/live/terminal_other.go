//go:build !linux

package main

import (
	"errors"
	"fmt"
	"os/exec"
)

// startOnTerminal is not to be had here.
func startOnTerminal(*exec.Cmd, uint16, uint16) (fmt.Stringer, error) {
	return nil, errors.New("a terminal for the run is made on Linux only")
}
