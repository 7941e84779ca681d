package commands

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/integration/servers"
)

// TestDeadLetters: found by what is known of them, tried again with other parameters, deleted one by one or many.
func TestDeadLetters(t *testing.T) {
	b := newBed(t, servers.BenchConfig{})
	var names []string
	for _, year := range []string{"year=2024", "year=2025", "year=2026"} {
		names = append(names, strings.TrimSpace(must(t, "submit", "echo_job", "--organization", testOrg, year, "pages=[1, 12345678901234567890]")))
	}
	b.exec("UPDATE `tabBackground Job` SET status='Dead Letter', error_message='no paper'")
	b.exec("UPDATE `tabBackground Job` SET modified=modified-INTERVAL 2 DAY, error_message='on fire' WHERE name=?", names[0])
	type list struct {
		Jobs []struct{ Name string }
	}
	for _, c := range []struct {
		flags []string
		want  string
	}{
		{[]string{"--limit", "1"}, names[2]},
		{[]string{"--changed-until", "-24h"}, names[0]},
		{[]string{"--changed-since", "-24h"}, names[2] + " " + names[1]},
		{[]string{"--error", "fire", "--organization", testOrg, "--type", "echo_job"}, names[0]},
	} {
		var got []string
		for _, j := range decode[list](t, must(t, append([]string{"jobs", "--status", "dead-letter", "--json"}, c.flags...)...)).Jobs {
			got = append(got, j.Name)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("jobs %q are %q, want %s", c.flags, got, c.want)
		}
	}

	must(t, "retry", names[0], "--set", "year=2030", "--user", "jane@example.com")
	view := decode[jobView](t, must(t, "job", names[0], "--json", "--params"))
	var parameters map[string]json.RawMessage
	if err := json.Unmarshal(view.Row.InputParameters, &parameters); err != nil || string(parameters["year"]) != "2030" || !strings.Contains(string(parameters["pages"]), "12345678901234567890") {
		t.Errorf("parameters %s, %v", view.Row.InputParameters, err)
	}
	wantLines(t, "history", must(t, "job", names[0]), "Job retried by jane@example.com with changed parameters")
	if view.Row.Status != "Queued" || view.History[0].To != "Pending" {
		t.Errorf("%+v", view)
	}
	for _, args := range [][]string{{"retry", names[1], "--set", "year"}, {"retry", names[1], "--parameters", "[1]"}, {"delete"}, {"delete", names[1], "--type", "x"}} {
		if got := bridgeCommand(t, args...); got.code != exitcode.Usage {
			t.Errorf("bridge %q: %+v, want a mistake of usage", args, got)
		}
	}

	if got := bridgeCommand(t, "delete", names[0]); got.code != exitcode.Refused {
		t.Errorf("delete of a job that waits: %+v", got)
	}
	if got := bridgeCommand(t, "delete", "JOB-0000-00000"); got.code != exitcode.NotFound {
		t.Errorf("delete of no job: %+v", got)
	}
	wantLines(t, "dry run", must(t, "delete", "--dry-run"), names[1]+" is chosen\n"+names[2]+" is chosen")
	wantLines(t, "delete", must(t, "delete", names[1]), names[1]+" deleted")
	wantLines(t, "delete all", must(t, "delete", "--error", "paper", "--yes"), names[2]+" deleted")
	if got := must(t, "jobs"); strings.Contains(got, names[1]) || strings.Contains(got, names[2]) || !strings.Contains(got, names[0]) {
		t.Errorf("what is left: %s", got)
	}
}
