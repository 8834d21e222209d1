// Package engine is the run of a plan; this page says how it is cut. The code is in the
// packages below.
//
// A plan is HCL (schema). Package survey says what a run of it will touch. A lane is one
// host's way through the steps, and gates are what lanes share; both are pure, and answer
// the outcome of an attempt with the next one. Package local makes the attempts: a worker
// runs the step (package step) over the host's doors, bmc, esxi and media. Each outcome and
// each change is in the log before anything that follows from it. Package session begins
// runs, continues them and ends them; what people and programs read of a run are the events
// of package event.
//
//	plan files → schema.Load → survey → session.Prepare → (consent) → lanes ⇄ local → step → door → wire
//	                                                          ↑            ↓
//	                                                          └─── log ←───┘ → views
//
// # Glossary
//
//   - plan, group, host, step: as written in the plan files
//   - task: one step on one host; attempt: one try of it; outcome: how it ended
//   - result: what a successful attempt returns
//   - change: a write, as a value; fate: what came of it (done, refused, unknown, undone)
//   - verdict: what a look at a machine says about its installation
//   - run: an execution of a plan, by name; stage: what one call asks of a run
//   - event: what happens in a run, as people and programs read it; record: a line of the log
//   - log: the records of a run, and the only truth of it
//   - lane: a host's way through the steps; gate: what lanes wait at for one another
//   - guard: what must hold before a write
//   - machine: the physical server; door: the way to one of its sides
//   - argument: of a block; attribute: of a value; diagnostic: a problem of the plan
//   - reset: one boot of the machine; ForceOff and On count as one
//   - session, power state, boot source override, virtual media, reset type: Redfish's
//
// # Floor plan
//
// Drawn from the imports; a package imports only what stands below it. The vendors are
// folders of engine/bmc, the steps those of steps.
//
//	7  cmd/esxiplan          all
//	6  engine/session        engine/event engine/lane engine/local engine/log engine/proposal engine/state engine/step engine/survey engine/text schema
//	5  engine/local          engine/event engine/lane engine/log engine/step engine/text schema
//	4  engine/lane           engine/event engine/gates engine/step engine/survey engine/text schema
//	4  steps/all             engine/step steps/*
//	3  cmd/internal/view/report  cmd/internal/view cmd/internal/view/markdown engine/event engine/story
//	3  engine/bmc/vendors    engine/bmc engine/bmc/*
//	3  engine/log            engine/event engine/private engine/secret engine/step engine/story engine/text schema
//	3  engine/survey         engine/gates engine/step schema
//	3  steps/*               engine/bmc engine/esxi engine/event engine/media engine/step engine/text schema
//	2  cmd/internal/metrics  engine/event engine/story
//	2  cmd/internal/view     cmd/internal/view/markdown cmd/internal/view/quiet engine/event engine/media engine/proposal engine/story engine/text schema
//	2  engine/bmc/*          engine/bmc engine/bmc/bmcsim
//	2  engine/notify         engine/event engine/story engine/text
//	2  engine/step           engine/bmc engine/descriptor engine/esxi engine/event engine/media engine/text schema
//	2  engine/twin           engine/bmc/bmcsim engine/esxi/esxisim engine/media schema
//	1  cmd/internal/telemetry  engine/event engine/text
//	1  cmd/internal/view/markdown  engine/text
//	1  engine/bmc            engine/descriptor engine/text
//	1  engine/esxi           engine/descriptor engine/text
//	1  engine/media          engine/descriptor engine/text
//	1  engine/proposal       engine/event engine/text schema
//	1  engine/secret         engine/text
//	1  engine/state          engine/event engine/private engine/text schema
//	1  engine/story          engine/event
//	0  cmd/internal/view/quiet
//	0  engine/bmc/bmcsim
//	0  engine/descriptor
//	0  engine/esxi/esxisim
//	0  engine/event
//	0  engine/gates
//	0  engine/media/isosim
//	0  engine/private
//	0  engine/text
//	0  schema
package engine
