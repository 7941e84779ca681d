package bridge

import (
	"fmt"
	"slices"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/moves"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// stateMachine is what may follow what, as people were promised it: written down here once more, so that the engine isn't
// judged by its own list.
var stateMachine = map[rows.Status][]rows.Status{
	"":                    {rows.StatusPending},
	rows.StatusPending:    {rows.StatusQueued, rows.StatusCanceled},
	rows.StatusQueued:     {rows.StatusRunning, rows.StatusCanceled, rows.StatusDeadLetter},
	rows.StatusRunning:    {rows.StatusCompleted, rows.StatusFailed, rows.StatusDeadLetter, rows.StatusTimedOut, rows.StatusCanceled},
	rows.StatusFailed:     {rows.StatusQueued, rows.StatusDeadLetter},
	rows.StatusTimedOut:   {rows.StatusQueued, rows.StatusDeadLetter},
	rows.StatusDeadLetter: {rows.StatusQueued},
}

// simulatedRow is a row and its log, and how often its status was written.
type simulatedRow struct {
	rows.BackgroundJob
	log    []rows.LogEntry
	writes int
}

// simulatedRows keep rows as package rows promises to: a move is a compare-and-swap together with its log.
type simulatedRows struct {
	fail  func(format string, args ...any)
	rows  map[string]*simulatedRow
	names []string
	stamp int
}

func (s *simulatedRows) tick() string {
	s.stamp++
	return fmt.Sprintf("%06d", s.stamp)
}

// create makes a Pending row.
func (s *simulatedRows) create(row rows.BackgroundJob) *simulatedRow {
	row.Name, row.Status = fmt.Sprintf("JOB-%d", len(s.names)+1), rows.StatusPending
	row.ModifiedRaw, row.Creation = s.tick(), time.Now()
	made := &simulatedRow{BackgroundJob: row}
	s.rows[row.Name], s.names = made, append(s.names, row.Name)
	s.log(made, "", rows.StatusPending, "Job created")
	made.writes++
	return made
}

func (s *simulatedRows) read(name string) *rows.BackgroundJob {
	row := s.rows[name].BackgroundJob
	return &row
}

// apply is what Sites.Apply does, without servers.
func (s *simulatedRows) apply(m moves.Move) rows.TransitionResult {
	row := s.rows[m.Name]
	lost := rows.TransitionResult{Current: row.Status}
	if err := m.Check(); err != nil {
		if row.Status == m.From && !row.Status.Terminal() && !m.ByHand {
			lost.Err = err // a mistake of whoever made the move, unless he was late
		}
		return lost
	}
	switch {
	case row.Status != m.From:
		return lost
	case m.From == rows.StatusRunning && m.Fence != "" && m.Fence != row.StartedRaw:
		lost.Fenced = true
		return lost
	case m.ByHand && m.AsOf != row.ModifiedRaw:
		return lost
	}
	was := *row
	from := m.From
	if m.ByHand {
		from = m.Was
	}
	for _, step := range []struct {
		to      rows.Status
		message string
	}{{m.Via, m.ViaMessage}, {m.To, m.Message}} {
		if step.to == "" {
			continue
		}
		s.log(row, from, step.to, step.message)
		row.writes++
		from = step.to
	}
	result := rows.TransitionResult{Applied: true, Current: m.To, Modified: s.tick(), StartedRaw: row.StartedRaw}
	if m.To == rows.StatusRunning {
		result.StartedRaw = s.tick()
		row.StartedAt = m.StartedAt
	}
	for _, v := range m.Set {
		v.Apply(&row.BackgroundJob)
	}
	row.Status, row.ModifiedRaw, row.StartedRaw = m.To, result.Modified, result.StartedRaw
	m.Applied(result)
	s.check(&was, row, m)
	return result
}

func (s *simulatedRows) log(row *simulatedRow, from, to rows.Status, message string) {
	if message == "" {
		s.fail("%s: a log row from %q to %s without a message", row.Name, from, to)
	}
	row.log = append(row.log, rows.LogEntry{FromStatus: from, ToStatus: to, Message: message, Timestamp: time.Now()})
}

// check holds what is true of a row after each of its moves.
func (s *simulatedRows) check(was, row *simulatedRow, m moves.Move) {
	is := rows.Status("")
	for _, entry := range row.log {
		if entry.FromStatus != is || !slices.Contains(stateMachine[is], entry.ToStatus) {
			s.fail("%s: the log goes from %q to %q after %q", row.Name, entry.FromStatus, entry.ToStatus, is)
		}
		is = entry.ToStatus
	}
	waits := row.Status == rows.StatusFailed || row.Status == rows.StatusTimedOut
	switch {
	case is != row.Status:
		s.fail("%s is %s, and its log ends with %s", row.Name, row.Status, is)
	case len(row.log) != row.writes:
		s.fail("%s has %d log rows for %d changes", row.Name, len(row.log), row.writes)
	case was.Status == rows.StatusCompleted, was.Status == rows.StatusCanceled:
		s.fail("%s was %s and became %s", row.Name, was.Status, row.Status)
	case row.RetryCount > row.MaxRetries:
		s.fail("%s made retry %d of %d", row.Name, row.RetryCount, row.MaxRetries)
	case waits != !row.NextRetryAt.IsZero():
		s.fail("%s is %s and its next retry is %s", row.Name, row.Status, row.NextRetryAt)
	case row.Status == rows.StatusRunning && row.DependsOn != "" && s.rows[row.DependsOn].Status != rows.StatusCompleted:
		s.fail("%s runs, and %s, on which it depends, is %s", row.Name, row.DependsOn, s.rows[row.DependsOn].Status)
	case row.Status == rows.StatusRunning && row.WaitingFor != "":
		s.fail("%s runs and waits for %q", row.Name, row.WaitingFor)
	case row.Status.Terminal() && row.Status != rows.StatusCanceled && row.CompletedAt.IsZero():
		s.fail("%s is %s since never", row.Name, row.Status)
	case was.Status == rows.StatusRunning && m.Fence == "":
		s.fail("%s: a move of a running row that isn't fenced", row.Name)
	case row.Status == rows.StatusFailed:
		s.checkPause(row)
	}
}

// checkPause: the schedule is 1, 2, 4, 8, 16 min, a fifth longer or shorter, unless the error named a pause of its own.
func (s *simulatedRows) checkPause(row *simulatedRow) {
	pause := time.Until(row.NextRetryAt)
	want := time.Minute << min(row.RetryCount, 4)
	if pause != askedPause && (pause < want*8/10 || pause > want*12/10) {
		s.fail("%s: retry %d of %d is in %s, want %s ± 20 %%", row.Name, row.RetryCount+1, row.MaxRetries, pause, want)
	}
}
