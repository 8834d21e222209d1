package step

// Refusal is a guard that says no. It is final, and nothing was written. Each guard is a
// file of its own, a function of what was read, what is planned and what is on record;
// [BMC] says which of them a write must pass.
type Refusal struct {
	Guard  string // what was guarded: "identity", "disk", "in use" …
	Reason string
	Next   string // the ways out
}

func (e *Refusal) Error() string { return "refused: " + e.Reason + ". " + e.Next }
