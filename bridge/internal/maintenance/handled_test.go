package maintenance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// typesOfSites are the Job Types of two sites, of which one may fail.
type typesOfSites struct {
	processes []rqcompat.Process
	types     map[string]*rows.JobType
	wrote     []string
	err       error
}

func (s *typesOfSites) Processes(context.Context) ([]rqcompat.Process, error) {
	return s.processes, nil
}
func (s *typesOfSites) Names() ([]string, error)   { return []string{"a.test"}, nil }
func (s *typesOfSites) IsNoted(string, error) bool { return false }

func (s *typesOfSites) SetHandledBy(_ context.Context, site string, by func(map[string]*rows.JobType, *time.Location) map[string]string) error {
	for name, text := range by(s.types, time.UTC) {
		s.wrote = append(s.wrote, site+" "+name+": "+text)
	}
	return s.err
}

// TestWhoHandlesAJobType is written at once and when it changes, else once a minute, of all processes by the oldest.
func TestWhoHandlesAJobType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		born := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
		first := rqcompat.Process{Name: "bridge-1", Hostname: "app1", PID: 7, Birth: born, Handlers: []string{"export"}}
		second := rqcompat.Process{Name: "bridge-2", Hostname: "app2", PID: 8, Birth: born.Add(time.Minute), Handlers: []string{"dotted.export", "other"}}
		s := &typesOfSites{processes: []rqcompat.Process{first}, types: map[string]*rows.JobType{
			"export": {TypeName: "export", HandlerMethod: "dotted.export"}, "nobodys": {TypeName: "nobodys"},
		}}
		h := &Handled{RQ: s, Rows: s, Process: "bridge-1"}
		do := func(what string, want ...string) {
			t.Helper()
			if err := h.Do(t.Context()); !errors.Is(err, s.err) {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, s.wrote); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
			s.wrote = nil
			time.Sleep(handledEvery)
		}
		one := "a.test export: bridge-1 on app1, process 7, since 2026-03-01 10:00:00"
		both := one + "\nbridge-2 on app2, process 8, since 2026-03-01 10:01:00"
		do("at once", one)
		do("again")
		s.processes = append(s.processes, second)
		do("a second process", both)
		for range 5 {
			do("within the minute")
		}
		do("after a minute", both)
		s.err = errors.New("no database")
		s.processes = s.processes[:1]
		do("which isn't written", one)
		s.err = nil
		do("is written again", one)
		s.processes = []rqcompat.Process{second, first}
		do("not by the younger")
		s.processes = nil
		for i := range 30 {
			s.processes = append(s.processes, rqcompat.Process{Name: fmt.Sprint("bridge-", i+1), Handlers: []string{"export"}})
		}
		if err := h.Do(t.Context()); err != nil || strings.Count(s.wrote[0], "\n") != handlersNamed || !strings.HasSuffix(s.wrote[0], "\nand 10 more") {
			t.Errorf("thirty processes: %v, %q", err, s.wrote)
		}
	})
}
