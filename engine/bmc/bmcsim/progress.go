package bmcsim

// States of a boot that the simulation of the machine reports.
const (
	OSBootStarted = "OSBootStarted" // a boot loader runs
	OSRunning     = "OSRunning"     // an operating system does, such as an installer
)

// hardwareComplete is the state of a machine that is through POST and boots nothing yet.
const hardwareComplete = "SystemHardwareInitializationComplete"

// Progress sets how far the boot has come: [OSBootStarted], [OSRunning]. A machine that is
// off or in POST has not come so far, so a report about it is out of date and ignored.
func (s *Sim) Progress(state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.power == "On" && !s.inPOST() {
		s.progress = state
	}
}

// bootProgress is BootProgress.LastState.
func (s *Sim) bootProgress() string {
	switch {
	case s.power != "On":
		return "None"
	case s.inPOST() && s.posted.Sub(s.c.Clock.Now()) > s.c.POST/2:
		return "MemoryInitializationStarted"
	case s.inPOST():
		return "PCIResourceConfigStarted"
	}
	return s.progress
}
