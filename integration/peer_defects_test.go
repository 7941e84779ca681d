package integration

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// peerDefects are faults of the Dartwing app's Python engine, and for each the tests that fail if we have it too, by package
// and name.
var peerDefects = []struct{ fault, tests string }{
	{"the circuit breaker reads a DocType that nobody brings: on a site with the engine's own DocTypes nothing runs",
		"bridge.TestSubmittedJobTellsItsWholeStory bridge.TestCircuitBreaker frappe/rows.TestInstallOnABareDatabase"},
	{"a handler whose time is over runs on, and its worker waits for it",
		"bridge.TestTimeoutStopsTheHandler bridge.TestHandlerThatIgnoresItsContextIsAbandoned bridge/internal/foreign.TestExecCancelKillsTheGroup"},
	{"a cancel reaches only code that asks for it, and the RQ job stays as it was",
		"bridge.TestCancelReachesTheHandler bridge.TestCancelByHand bridge.TestACanceledRetryIsCanceledInRQ"},
	{"a job whose worker died is Running for ever",
		"bridge.TestJobOfAKilledProcessRunsElsewhereWithin20s integration.TestKilledWorker"},
	{"after a crash between the commit and the enqueueing a row is Queued, and no worker ever hears of it",
		"bridge/internal/maintenance.TestOrphans bridge.TestRedisLosesItsData bridge.TestRowsThatNobodyTellsOf"},
	{"retries, and jobs that depend on others, move once a minute, by cron",
		"bridge.TestTransientFailureRecovers bridge.TestAChildStartsWhenAllItsParentsHaveCompleted"},
	{"a job is a dead letter while the one that it depends on is only between two attempts",
		"bridge.TestAChildStartsWhenAllItsParentsHaveCompleted bridge.TestSimulation"},
	{"texts of more than 140 characters in a field of that length raise an error",
		"bridge.TestTextsThatAreTooLongOrBroken frappe/rows.TestTransitionCutsLongText"},
	{"limits of an organization, turns between organizations and their suspension are promised and not built",
		"bridge.TestCapsHoldAcrossProcesses bridge.TestOneJobBehindTenThousand bridge.TestWeightsHold bridge.TestJobsOfASuspendedOrganizationAreHeld bridge/internal/policy.TestCapacity"},
	{"a list of jobs can't be limited to a time",
		"frappe/rows.TestListJobs frappe/rows.TestListJobsWhereAnHourRepeats"},
	{"a retry by hand goes on counting, so that a job whose retries are spent gets no more",
		"bridge.TestRetryByHandStartsANewSeries bridge.TestRetryByHand"},
	{"events go to rooms that no client of a stock realtime server can be in",
		"bridge.TestEventsOfAJob integration.TestOneStoryTold"},
	{"the 95th percentile of the durations reads every duration into memory",
		"frappe/documents.TestReportFigures frappe/documents.TestNothingReadsAllJobs"},
	{"a submission passes an argument to the site's JSON that it doesn't know, and raises",
		"frappe.TestAsJSONAgainstPython bridge.TestSubmittedJobTellsItsWholeStory"},
	{"a handler runs without the site, the user and the parameters of its job",
		"bridge/internal/attempt.TestWhatAHandlerGets bridge/internal/foreign.TestExecEnvironment"},
	{"a job that waited for another is enqueued again each minute until it starts, and starts unguarded: it can run twice",
		"bridge.TestTwoEnginesRunEachJobOnce bridge.TestParentsThatEndWhileChildrenAreAdded frappe/rows.TestTransitionManyWriters"},
	{"each save asks whether the organization is active: a job that runs while it is suspended can't be ended",
		"bridge.TestSuspensionHoldsWhatWaitsAlready"},
	{"its indexes are listed where the framework doesn't look, and don't exist",
		"frappe/rows.TestInstallOnABareDatabase frappe/rows.TestQueriesUseTheirIndexes"},
	{"its cleanup leaves rows that failed for ever",
		"bridge.TestJobsThatEndedLongAgoAreDeleted bridge/internal/maintenance.TestWhatNobodyRetriesIsGivenUp"},
	{"its list of dead letters asks for a field that nobody has",
		"frappe/rows.TestJobNamesAndErrorGroups frappe/rows.TestListJobs"},
}

// TestPeerDefectsAreShown: each fault of the peer has tests that exist.
func TestPeerDefectsAreShown(t *testing.T) {
	exist := testsOf(t, "..")
	for _, defect := range peerDefects {
		tests := strings.Fields(defect.tests)
		if len(tests) == 0 {
			t.Errorf("nothing shows that we don't have this: %s", defect.fault)
		}
		for _, test := range tests {
			if !exist[test] {
				t.Errorf("there is no test %s, which shows that we don't have this: %s", test, defect.fault)
			}
		}
	}
}

// testsOf finds the tests below a directory, as package.Test, the package by its directory.
func testsOf(t *testing.T, root string) map[string]bool {
	t.Helper()
	tests := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && d.Name() != ".."):
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		in, err := filepath.Rel(root, filepath.Dir(path))
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				tests[filepath.ToSlash(in)+"."+f.Name.Name] = true
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}
