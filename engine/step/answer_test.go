package step_test

import (
	"errors"
	"fmt"
	"testing"

	"esxiplan/engine/bmc"
	"esxiplan/engine/step"
)

// TestAnswerOf: what a BMC answered is found however the error was wrapped, and only where it
// answered.
func TestAnswerOf(t *testing.T) {
	refused := fmt.Errorf("insert: %w", &bmc.ErrSlot{Err: &bmc.Error{Request: "POST /x", Status: 400}})
	if a := step.AnswerOf(&step.Failure{Reason: "no slot takes it"}); a != nil {
		t.Errorf("a failure without an answer has %+v", a)
	}
	if a := step.AnswerOf(refused); a == nil || a.Request != "POST /x" || a.Status != 400 {
		t.Errorf("%+v", a)
	}
	for _, err := range []error{nil, errors.New("other"), &bmc.Error{Request: "GET /x", Err: errors.New("reset")}} {
		if a := step.AnswerOf(err); a != nil {
			t.Errorf("%v has the answer %+v", err, a)
		}
	}
}
