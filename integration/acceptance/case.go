package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Case is one thing that has to hold on a bench.
type Case struct {
	Name  string // "group: what"
	Means string // what it means for the bench's people that this holds
	Fix   string // what to do if it doesn't; SITE stands for the site
	Needs []need // what has to be there
	Run   func(ctx context.Context, b *bed) error
}

// need is something that not every bench has. bed.missing says why one is missing.
type need int

const (
	ownWorker    need = iota // this program's own worker
	ownQueue                 // a queue type of the bridge alone
	sharedQueue              // a queue type worked together with Python
	pythonWorker             // a Python worker on the shared queue
	tables                   // the bridge's tables
	documents                // Frappe's documents: DocTypes, users, scripts
	scripts                  // Server Scripts
	web                      // the site's web server
	socket                   // the realtime server
	users                    // two users with API keys
	manager                  // a user who may read everything
	maintenance              // leave to shut the site
	migrate                  // leave to migrate it
	chromium                 // a browser, and the wish to use it
)

// result is how a case went.
type result string

const (
	ok       result = "ok"
	notOK    result = "not ok"
	notThere result = "not there"
)

// missingError says that something a case needs isn't there.
type missingError struct{ what string }

func (e missingError) Error() string { return e.what }

func missing(format string, args ...any) error { return missingError{fmt.Sprintf(format, args...)} }

// report is a case that was tried.
type report struct {
	Case
	result result
	seen   string // what was seen instead, or what is missing
	took   time.Duration
}

// caseTimeout bounds a case; the slowest is a migration.
const caseTimeout = 5 * time.Minute

// runAll tries the cases one after the other, until ctx ends.
func (b *bed) runAll(ctx context.Context, cases []Case) (reports []report) {
	for i, c := range cases {
		if ctx.Err() != nil {
			break
		}
		b.say("%3d/%d  %s ...", i+1, len(cases), c.Name)
		r := b.try(ctx, c)
		reports = append(reports, r)
		b.say("        %s after %s", r.result, r.took.Round(10*time.Millisecond))
	}
	return reports
}

func (b *bed) try(ctx context.Context, c Case) report {
	r := report{Case: c, result: ok}
	for _, n := range c.Needs {
		if why := b.missing[n]; why != "" {
			r.result, r.seen = notThere, why
			return r
		}
	}
	ctx, cancel := context.WithTimeout(ctx, caseTimeout)
	defer cancel()
	began := time.Now()
	err := c.Run(ctx, b)
	r.took = time.Since(began)
	var gone missingError
	switch {
	case errors.As(err, &gone):
		r.result, r.seen = notThere, err.Error()
	case err != nil:
		r.result, r.seen = notOK, err.Error()
	}
	return r
}

// allCases are the cases in the order in which they explain each other.
func allCases(b *bed) (all []Case) {
	for _, group := range [][]Case{
		installCases(), enqueueCases(b, "own queue", b.own, ownQueue), enqueueCases(b, "shared queue", b.shared, sharedQueue),
		sharedCases(), pythonCases(), jobCases(), byHandCases(), ruleCases(), watchCases(), deskCases(), pageCases(), toldCases(), siteCases(),
	} {
		all = append(all, group...)
	}
	return all
}
