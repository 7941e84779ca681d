package frappe

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// move is a Transition on its way: what it will write, and what came of it.
type move struct {
	*Transition
	result *TransitionResult

	columns []string // to write, sorted; values beside them
	values  []any    // string, int64, float64 or nil
	shape   string   // equal for moves that write the same columns
	fence   string   // started_at as the column must hold it, "" for no fence
	stamp   string   // the row's new `modified`, one for all moves of a call: fewer values to tell apart
	viaAt   string   // time of the intermediate log row
	at      string   // time of the log row

	applied, missing, fenced bool
	locked                   bool // left out of a batch, because somebody else has the row
	current                  string
	modified                 string
}

// setKind says how a settable column's value is written.
type setKind int

const (
	setText setKind = iota
	setInt
	setPercent
	setTime
)

var settable = map[string]setKind{
	"progress": setPercent, "progress_message": setText, "output_reference": setText, "error_message": setText, "error_type": setText,
	"retry_count": setInt, "max_retries": setInt, "next_retry_at": setTime, "started_at": setTime, "completed_at": setTime, "canceled_at": setTime,
	"canceled_by": setText, "priority": setText, "timeout_seconds": setInt, "depends_on": setText,
}

// prepare checks a move and converts its values; only what doesn't depend on the row happens here.
func (m *move) prepare(t *tableInfo, loc *time.Location, modified string, clock *ticker) error {
	switch {
	case m.Name == "":
		return errors.New("transition without a name")
	case m.From == "" || m.To == "":
		return fmt.Errorf("transition from %q to %q: both states are needed", m.From, m.To)
	case m.To == StatusRunning && m.StartedAt.IsZero():
		return errors.New("transition to Running without started_at, which is the attempt's fence")
	}
	if m.Via != "" {
		m.viaAt = formatTime(clock.next(), loc)
	}
	m.stamp, m.at = modified, formatTime(clock.next(), loc)
	if m.From == StatusRunning && !m.StartedAt.IsZero() {
		m.fence = formatTime(m.StartedAt, loc)
	}
	m.put("status", string(m.To))
	m.put("modified", m.stamp)
	m.put("modified_by", systemUser(m.Actor))
	if m.To == StatusRunning {
		m.put("started_at", formatTime(m.StartedAt, loc))
	}
	for column, v := range m.Set {
		if err := m.set(t, loc, column, v); err != nil {
			return fmt.Errorf("column %s: %w", column, err)
		}
	}
	slices.Sort(m.result.Cut)
	m.sortColumns()
	return nil
}

func (m *move) put(column string, v any) {
	m.columns = append(m.columns, column)
	m.values = append(m.values, v)
}

func (m *move) set(t *tableInfo, loc *time.Location, column string, v any) error {
	kind, known := settable[column]
	switch {
	case !known:
		return errors.New("not one that a transition may set")
	case column == "started_at" && m.To == StatusRunning:
		return errors.New("set it with StartedAt")
	case !t.has(column):
		return errors.New("the table doesn't have it")
	}
	value, err := kind.value(v, loc)
	if err != nil {
		return err
	}
	if s, ok := value.(string); ok && kind == setText {
		fitted, cut := t.columns[column].fit(s)
		if cut {
			m.result.Cut = append(m.result.Cut, column)
		}
		value = nullable(fitted)
	}
	m.put(column, value)
	return nil
}

// value converts to what the driver writes: string, int64, float64 or nil.
func (k setKind) value(v any, loc *time.Location) (any, error) {
	switch v := v.(type) {
	case nil:
		if k == setInt || k == setPercent {
			return int64(0), nil // these columns are NOT NULL
		}
		return nil, nil
	case string:
		if k == setText {
			return v, nil
		}
	case int:
		return k.number(float64(v))
	case int64:
		return k.number(float64(v))
	case float64:
		return k.number(v)
	case *time.Time:
		if v == nil {
			return k.value(nil, loc)
		}
		return k.value(*v, loc)
	case time.Time:
		switch {
		case k != setTime:
		case v.IsZero():
			return nil, nil
		default:
			return formatTime(v, loc), nil
		}
	}
	return nil, fmt.Errorf("can't hold a value of type %T", v)
}

func (k setKind) number(f float64) (any, error) {
	switch {
	case k == setPercent:
		return clampPercent(f), nil
	case k == setInt && f == float64(int64(f)):
		return int64(f), nil
	}
	return nil, fmt.Errorf("can't hold the number %v", f)
}

// clampPercent keeps a progress where a progress bar can show it; NaN is 0.
func clampPercent(f float64) float64 {
	if !(f > 0) {
		return 0
	}
	return min(f, 100)
}

// sortColumns brings moves that write the same columns to the same shape.
func (m *move) sortColumns() {
	order := make([]int, len(m.columns))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(m.columns[a], m.columns[b]) })
	columns, values := make([]string, len(order)), make([]any, len(order))
	for i, from := range order {
		columns[i], values[i] = m.columns[from], m.values[from]
	}
	m.columns, m.values = columns, values
	m.shape = strings.Join(columns, ",")
}

// decide compares the move with its row and reports whether it has to be written. It may be called again for another
// try of the transaction.
func (m *move) decide(row *lockedRow, skipLocked bool) bool {
	m.applied, m.missing, m.fenced, m.locked, m.current, m.modified = false, false, false, false, "", ""
	if row == nil {
		// A row that is locked can't be told from one that isn't there: ask again, waiting.
		m.missing, m.locked = !skipLocked, skipLocked
		return false
	}
	m.current, m.modified = row.status, row.modified
	switch {
	case row.status != string(m.From):
		return false
	case m.fence != "" && row.startedAt != m.fence:
		m.fenced = true
		return false
	}
	m.applied, m.current, m.modified = true, string(m.To), m.stamp
	return true
}

// advance makes the row what the move will have written, for a later move of the same row.
func (m *move) advance(row *lockedRow) {
	row.status, row.modified = string(m.To), m.stamp
	for i, c := range m.columns {
		switch v := m.values[i]; c {
		case "started_at":
			row.startedAt, _ = v.(string)
		case "retry_count":
			n, _ := v.(int64)
			row.retryCount = int(n)
		}
	}
}

func (m *move) addLog(logs []logRow, row *lockedRow) []logRow {
	r := logRow{job: m.Name, organization: row.organization, from: row.status, to: string(m.To), actor: m.Actor, message: m.Message, at: m.at, attempt: row.retryCount}
	if m.Via != "" {
		via := r
		via.to, via.message, via.at = string(m.Via), m.ViaMessage, m.viaAt
		r.from = string(m.Via)
		logs = append(logs, via)
	}
	return append(logs, r)
}

// publish writes the result, after COMMIT.
func (m *move) publish() {
	if m.locked {
		return
	}
	cut := m.result.Cut
	*m.result = TransitionResult{Applied: m.applied, Current: Status(m.current), Modified: deskTime(m.modified), Missing: m.missing, Fenced: m.fenced, Cut: cut}
}

// maxUpdate is how many rows one UPDATE takes: it looks for each row's values among those of all rows.
const maxUpdate = 50

// updateRows writes moves whose rows are locked and compared: one statement for those that write the same columns.
func updateRows(ctx context.Context, tx *sql.Tx, moves []*move) error {
	groups := map[string][]*move{}
	var shapes []string
	for _, m := range moves {
		if groups[m.shape] == nil {
			shapes = append(shapes, m.shape)
		}
		groups[m.shape] = append(groups[m.shape], m)
	}
	for _, shape := range shapes {
		for chunk := range slices.Chunk(groups[shape], maxUpdate) {
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

// updateStatement writes the columns whose value is the same for all rows as such, and the others by name.
func updateStatement(moves []*move) (string, []any) {
	var b strings.Builder
	var args []any
	b.WriteString("UPDATE `" + tableJob + "` FORCE INDEX (PRIMARY) SET ")
	for i, column := range moves[0].columns {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("`" + column + "`=")
		if slices.ContainsFunc(moves[1:], func(m *move) bool { return m.values[i] != moves[0].values[i] }) {
			b.WriteString("CASE `name`")
			for _, m := range moves {
				b.WriteString(" WHEN ? THEN ?")
				args = append(args, m.Name, m.values[i])
			}
			b.WriteString(" END")
			continue
		}
		b.WriteByte('?')
		args = append(args, moves[0].values[i])
	}
	b.WriteString(" WHERE `name` IN (" + marks(len(moves)) + ")")
	for _, m := range moves {
		args = append(args, m.Name)
	}
	return b.String(), args
}
