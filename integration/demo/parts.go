package main

import (
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

const (
	inPython = "Python"
	inGo     = "Go"
)

// part is one job of the demo: how it is to go, and how it went.
type part struct {
	key, what string
	from, by  string      // who enqueues it, who is to run it
	person    int         // of people, who may see it
	status    rows.Status // of its row; "" for a job that has none
	rq        rqcompat.Status
	attempts  int
	value     any // what RQ is to have as the result; nil is not compared

	id, name string // RQ's id as it was enqueued; the row's name
	row      *rows.BackgroundJob
	job      *rqcompat.Job // the newest delivery
	results  []rqcompat.Result
	shown    rqcompat.Status
	canceled bool
	problems []string
}

const checksumText, checksumRounds = "bridge", 3

func allParts() []*part {
	const jane, omar = 0, 1
	done, dead, canceled := rows.StatusCompleted, rows.StatusDeadLetter, rows.StatusCanceled
	return []*part{
		{key: "method", what: "a Job Type's method", from: inPython, by: inGo, person: jane, status: done, rq: rqcompat.StatusFinished, attempts: 1},
		{key: "envelope", what: "a row and the executor's envelope", from: inPython, by: inGo, person: omar, status: done, rq: rqcompat.StatusFinished, attempts: 1},
		{key: "shared", what: "on a queue shared with Python", from: inPython, by: inGo, person: jane, status: done, rq: rqcompat.StatusFinished, attempts: 1,
			value: map[string]any{"text": "Grüße", "number": 42, "organization": people[jane].Organization}},
		{key: "exec", what: "handled by a program", from: inPython, by: inGo, person: omar, status: done, rq: rqcompat.StatusFinished, attempts: 1, value: map[string]any{"made": 5, "attempt": 1}},
		{key: "transient", what: "fails twice, then recovers", from: inPython, by: inGo, person: jane, status: done, rq: rqcompat.StatusFinished, attempts: 3},
		{key: "permanent", what: "fails for good", from: inPython, by: inGo, person: omar, status: dead, rq: rqcompat.StatusFailed, attempts: 1},
		{key: "cancel", what: "canceled while it runs", from: inPython, by: inGo, person: jane, status: canceled, rq: rqcompat.StatusStopped, attempts: 1},
		{key: "rowless", what: "no Job Type, no row", from: inPython, by: inGo, person: omar, rq: rqcompat.StatusFinished, attempts: 1, value: map[string]any{"made": 4, "attempt": 1}},
		{key: "python", what: "left to Python", from: inPython, by: inPython, person: jane, rq: rqcompat.StatusFinished, attempts: 1},
		{key: "submit", what: "submitted from Go", from: inGo, by: inGo, person: omar, status: done, rq: rqcompat.StatusFinished, attempts: 1},
		{key: "echo", what: "submitted from Go, urgent", from: inGo, by: inGo, person: jane, status: done, rq: rqcompat.StatusFinished, attempts: 1, value: map[string]any{"from": inGo}},
		{key: "checksum", what: "from Go, for Python", from: inGo, by: inPython, person: omar, rq: rqcompat.StatusFinished, attempts: 1, value: checksum(checksumText, checksumRounds)},
	}
}
