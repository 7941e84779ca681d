package rows

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// move is a Transition on its way: what it will write, and what came of it.
type move struct {
	*Transition
	result *TransitionResult

	cells []cell // to write, in the columns' order
	shape uint64 // equal for moves that write the same columns
	stamp string // the row's new `modified`, one for all moves of a call: fewer values to tell apart
	viaAt string // time of the intermediate log row
	at    string // time of the log row

	outcome TransitionResult // what result will be after COMMIT
	locked  bool             // left out of a batch, because somebody else has the row
}

// cell is a column with what the driver writes into it: string, int64, float64 or nil.
type cell struct {
	column *jobColumn
	value  any
}

// prepare checks a move and converts its values; only what doesn't depend on the row happens here.
func (m *move) prepare(t *tableInfo, loc *time.Location, modified string, clock *ticker) error {
	switch {
	case m.Name == "":
		return fmt.Errorf("%w: transition without a name", ErrValue)
	case m.From == "" || m.To == "":
		return fmt.Errorf("%w: transition from %q to %q: both states are needed", ErrValue, m.From, m.To)
	case m.To == StatusRunning && m.StartedAt.IsZero():
		return fmt.Errorf("%w: transition to Running without started_at, which is the attempt's fence", ErrValue)
	}
	if m.Via != "" {
		m.viaAt = formatTime(clock.next(), loc)
	}
	m.stamp, m.at = modified, formatTime(clock.next(), loc)
	m.cells = make([]cell, 0, 4+len(m.Set))
	m.put(colStatus, string(m.To))
	m.put(colModified, m.stamp)
	m.put(colModifiedBy, systemUser(m.Actor))
	if m.To == StatusRunning {
		m.put(Job.StartedAt.column, formatTime(m.StartedAt, loc))
	}
	for _, v := range m.Set {
		if err := m.set(t, loc, v); err != nil {
			return err
		}
	}
	slices.Sort(m.result.Cut)
	for _, c := range m.cells {
		if err := t.columns[c.column.name].refuse(c.value); err != nil {
			return err
		}
	}
	return nil
}

// put keeps the cells in order; of two for one column the later one counts.
func (m *move) put(c *jobColumn, value any) {
	i, found := slices.BinarySearchFunc(m.cells, c.order, func(have cell, order int) int { return have.column.order - order })
	if found {
		m.cells[i].value = value
		return
	}
	m.cells = slices.Insert(m.cells, i, cell{c, value})
	m.shape |= 1 << c.order
}

func (m *move) set(t *tableInfo, loc *time.Location, v Value) error {
	switch {
	case v.column == nil:
		return fmt.Errorf("%w: a value without a column", ErrValue)
	case v.column == Job.StartedAt.column && m.To == StatusRunning:
		return fmt.Errorf("%w: column started_at: set it with StartedAt", ErrValue)
	case !t.has(v.column.name) && v.column.optional:
		return nil
	case !t.has(v.column.name):
		return fmt.Errorf("%w: %s", ErrColumnMissing, v.column.name)
	}
	value := forDriver(v.to, loc)
	if s, ok := value.(string); ok {
		fitted, cut := t.columns[v.column.name].fit(s)
		if cut {
			m.result.Cut = append(m.result.Cut, v.column.name)
		}
		value = fitted
	}
	m.put(v.column, value)
	return nil
}

// startedAt is the started_at that a move to Running writes.
func (m *move) startedAt() (text string) {
	for _, c := range m.cells {
		if c.column == Job.StartedAt.column {
			text, _ = c.value.(string)
		}
	}
	return text
}

// decide compares the move with its row and reports whether to write it. A repeated transaction calls it again.
func (m *move) decide(row *lockedRow, skipLocked bool) bool {
	m.locked, m.outcome = false, TransitionResult{Cut: m.result.Cut}
	if row == nil {
		// A row that is locked can't be told from one that isn't there: ask again, waiting.
		m.outcome.Missing, m.locked = !skipLocked, skipLocked
		return false
	}
	m.outcome.Current, m.outcome.Modified = Status(row.status), deskTime(row.modified)
	ran := m.From == StatusRunning || m.ByHand && m.Was == StatusRunning
	switch {
	case m.To == StatusRunning && row.status == string(StatusRunning) && row.startedAt == m.startedAt():
		// This very start, whose COMMIT got no answer when it was made.
		m.outcome.Applied, m.outcome.StartedRaw = true, row.startedAt
		return false
	case row.status != string(m.From), m.ByHand && deskTime(row.modified) != m.AsOf:
		return false
	case ran && m.Fence != "" && row.startedAt != m.Fence:
		m.outcome.Fenced = true
		return false
	}
	m.outcome.Applied, m.outcome.Current, m.outcome.Modified = true, m.To, deskTime(m.stamp)
	return true
}

// advance makes the row what the move will have written, for a later move of the same row.
func (m *move) advance(row *lockedRow) {
	row.status, row.modified = string(m.To), m.stamp
	for _, c := range m.cells {
		switch c.column {
		case Job.StartedAt.column:
			row.startedAt, _ = c.value.(string)
		case Job.RetryCount.column:
			n, _ := c.value.(int64)
			row.retryCount = int(n)
		}
	}
}

func (m *move) addLog(logs []logRow, row *lockedRow) []logRow {
	r := logRow{job: m.Name, organization: row.organization, owner: row.owner, from: row.status, to: string(m.To), actor: m.Actor, message: m.Message, at: m.at, attempt: row.retryCount}
	if m.ByHand {
		r.from = string(m.Was)
	}
	if m.Via != "" {
		via := r
		via.to, via.message, via.at = string(m.Via), m.ViaMessage, m.viaAt
		r.from = string(m.Via)
		logs = append(logs, via)
	}
	return append(logs, r)
}

// maxUpdate is how many rows one UPDATE takes: it looks for each row's values among those of all rows.
const maxUpdate = 50

// updateRows writes moves whose rows are locked and compared: one statement for those that write the same columns.
func updateRows(ctx context.Context, tx *sql.Tx, moves []*move) error {
	groups := map[uint64][]*move{}
	for _, m := range moves {
		groups[m.shape] = append(groups[m.shape], m)
	}
	for _, shape := range slices.Sorted(maps.Keys(groups)) {
		for chunk := range statements(groups[shape], maxUpdate, (*move).size) {
			query, args := updateStatement(chunk)
			result, err := tx.ExecContext(ctx, query, args...)
			if err != nil {
				return err
			}
			if n, err := result.RowsAffected(); err == nil && n != int64(len(chunk)) {
				return fmt.Errorf("updated %d rows instead of the %d that were locked", n, len(chunk))
			}
		}
	}
	return nil
}

// size is how much text the move writes, in bytes.
func (m *move) size() (n int) {
	for _, c := range m.cells {
		if text, ok := c.value.(string); ok {
			n += len(text)
		}
	}
	return n
}

// updateStatement writes the columns whose value is the same for all rows as such, and the others by name.
func updateStatement(moves []*move) (string, []any) {
	var b strings.Builder
	var args []any
	b.WriteString("UPDATE `" + tableJob + "` FORCE INDEX (PRIMARY) SET ")
	for i, first := range moves[0].cells {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("`" + first.column.name + "`=")
		if slices.ContainsFunc(moves[1:], func(m *move) bool { return m.cells[i].value != first.value }) {
			b.WriteString("CASE `name`")
			for _, m := range moves {
				b.WriteString(" WHEN ? THEN ?")
				args = append(args, m.Name, m.cells[i].value)
			}
			b.WriteString(" END")
			continue
		}
		b.WriteByte('?')
		args = append(args, first.value)
	}
	b.WriteString(" WHERE `name` IN (" + marks(len(moves)) + ")")
	for _, m := range moves {
		args = append(args, m.Name)
	}
	return b.String(), args
}
