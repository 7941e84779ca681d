package maintenance

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// oneSchedule is a site with a Job Schedule whose time has come.
type oneSchedule struct{ now time.Time }

func (oneSchedule) Names() ([]string, error)          { return []string{"site"}, nil }
func (oneSchedule) IsNoted(string, error) bool        { return false }
func (oneSchedule) Maintenance(string) bool           { return false }
func (r oneSchedule) Clock(context.Context) time.Time { return r.now }

func (r oneSchedule) Schedules(context.Context, string) ([]*rows.JobSchedule, *time.Location, error) {
	planned := r.now.Add(-time.Second).Format(time.RFC3339) + " UTC @every 1m"
	return []*rows.JobSchedule{{Name: "often", Enabled: true, Schedule: "@every 1m", Planned: planned}}, time.UTC, nil
}

func (oneSchedule) PlanSchedule(context.Context, string, *rows.JobSchedule, string) (bool, error) {
	return true, nil
}

// TestAScheduleReadAnewIsNotDueTwice: its time comes, its document is read anew, and while its job is submitted nobody else finds
// it due.
func TestAScheduleReadAnewIsNotDueTwice(t *testing.T) {
	var s *Schedules
	submitted := 0
	s = NewSchedules(SchedulesParams{
		Rows: oneSchedule{now: time.Now().UTC().Truncate(time.Second)}, Log: slog.New(slog.DiscardHandler), Away: func(error) bool { return false },
		Submit: func(_ context.Context, site string, row *rows.JobSchedule, _ string) (string, error) {
			submitted++
			if !s.known[site][row.Name].busy {
				t.Error("while its job is submitted it is to be had")
			}
			return "JOB-1", nil
		},
	})
	s.work(t.Context(), "site", []string{""})
	s.submitDue(t.Context())
	s.work(t.Context(), "site", []string{""})
	s.work(t.Context(), "site", []string{"often"})
	if submitted != 1 {
		t.Errorf("submitted %d times, want once", submitted)
	}
}
