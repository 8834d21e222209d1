// Package local drives a run in this process: a goroutine per attempt, a bound on how many
// hosts do something at once ([Driver]), a clock that is real or scaled ([Clock]), and the
// [Worker] that carries out one attempt of one task on one host, through the doors that it
// is given.
//
// What decides is elsewhere: the lanes (engine/lane). Each outcome is on disk before a lane
// gets it, so that the log alone is enough to continue.
package local
