package event

// Who is a process of esxiplan, and on whose behalf it works: who started a run, or holds a
// lock.
type Who struct {
	User string `json:"user,omitempty"`
	Host string `json:"host,omitempty"` // the computer that esxiplan runs on
	PID  int    `json:"pid,omitempty"`
	Job  string `json:"job,omitempty"` // of a CI system
}

// String names user, computer and job.
func (w Who) String() string {
	text := w.User
	if w.Host != "" {
		text += "@" + w.Host
	}
	if w.Job != "" {
		text += " (" + w.Job + ")"
	}
	return text
}
