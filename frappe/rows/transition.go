package rows

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// Transition is one guarded move of a Background Job row: it happens only while the row still has the status From (and,
// where that is Running, still belongs to the attempt of Fence), and leaves a log row in the same transaction.
type Transition struct {
	Name     string
	From, To Status
	// StartedAt becomes the row's started_at where To is Running; TransitionResult.StartedRaw is what the row got.
	StartedAt time.Time
	// Fence is what the row's started_at must be where From is Running, or was, as the text that the row holds: the site's clock
	// repeats hours and its zone may be changed, so that an instant has no text for ever. "" is an administrator's
	// cancel, which is not fenced.
	Fence string
	// ByHand says that somebody else than the engine put the row into From, and with which log: Was is the state that its
	// last log row has, "" for a row without one, and the move's log goes on from there. Such a row is compared by AsOf too,
	// the row's ModifiedRaw: whoever else changed it meanwhile is looked at anew.
	ByHand  bool
	Was     Status
	AsOf    string
	Actor   string // User of the log row and of modified_by; "" is the system
	Message string // of the log row
	// Via is a state between that gets a log row of its own (Running -Failed-> Queued is "given back"); "" for none.
	Via        Status
	ViaMessage string
	// Set holds further columns to write, as in Job.Progress.To(100). Of two values for one column the later one
	// counts. started_at is set by StartedAt where To is Running.
	Set []Value
}

// TransitionResult says what became of one Transition.
type TransitionResult struct {
	Applied    bool
	Current    Status   // the row's status afterwards: To when applied, what it had instead when not
	Modified   string   // the row's `modified` as the desk compares it, for doc_update
	StartedRaw string   // of an applied one: the row's started_at, the fence of what follows
	Missing    bool     // there is no such row
	Fenced     bool     // the status matched, but the row belongs to another attempt
	Cut        []string // columns whose text was too long for them and was cut
	Err        error    // why this one could not be tried; nil for a lost race
}

// Transition performs the moves in one transaction (per 200): each row is compared and swapped on its own, and a move
// that lost its race (Applied false, Current says to what) doesn't disturb the others. The results are in the order of
// ts and are only returned after COMMIT. Several moves of one row are made one after the other.
//
// Rows that somebody else has locked are left to transactions of their own. A move whose values its columns don't take is
// left out beforehand; if the server refuses a transaction all the same, either half gets one, and so on, so that one bad
// move harms no other. A connection that breaks during COMMIT is answered by looking again: a
// move that turns out to have happened counts as applied. If that can't be found out either, the error is an ErrOutcomeUnknown as well;
// a move to Running may be made again then, and counts as applied if it has happened.
//
// The returned error is non-nil only when nothing could be tried at all (the server, the tables, ctx).
func (d *DB) Transition(ctx context.Context, ts []Transition) ([]TransitionResult, error) {
	if len(ts) == 0 {
		return nil, nil
	}
	job, log, err := d.tables.ofJobs(ctx)
	if err != nil {
		return nil, err
	}
	results := make([]TransitionResult, len(ts))
	clock := ticker{d.Now()}
	modified := formatTime(clock.next(), d.Location())
	var moves []*move
	for i := range ts {
		m := &move{Transition: &ts[i], result: &results[i]}
		if err := m.prepare(job, d.Location(), modified, &clock); err != nil {
			results[i].Err = fmt.Errorf("site %s: job %s: %w", d.site, ts[i].Name, err)
			continue
		}
		moves = append(moves, m)
		if len(m.result.Cut) > 0 {
			d.log.Info("text was too long for its column and was cut", "site", d.site, "job_id", m.Name, "columns", m.result.Cut)
		}
	}
	return results, d.move(ctx, log, moves)
}

// maxSingles is how many moves are made at once in transactions of their own: they wait for locks, not for the disk.
const maxSingles = 4

// move makes the moves in transactions of maxBatch. Its error says that none could be tried.
func (d *DB) move(ctx context.Context, log *tableInfo, moves []*move) error {
	var errs []error
	tried := false
	for chunk := range slices.Chunk(moves, maxBatch) {
		err := d.together(ctx, log, chunk)
		tried = tried || err == nil
		errs = append(errs, err)
	}
	if tried {
		return nil
	}
	return errors.Join(errs...)
}

// together makes the moves in one transaction, and those that couldn't be made so in smaller ones. The error, which is the
// moves' as well, is one that smaller ones would meet too.
func (d *DB) together(ctx context.Context, log *tableInfo, moves []*move) error {
	err := d.commit(ctx, log, moves, len(moves) > 1)
	switch {
	case err == nil:
		d.singly(ctx, log, slices.DeleteFunc(slices.Clone(moves), func(m *move) bool { return !m.locked }))
	case ctx.Err() != nil, OfServer(err) && !errors.Is(err, ErrBusy):
		for _, m := range moves {
			m.result.Err = err
		}
		return d.tables.notice(err)
	case len(moves) == 1:
		moves[0].result.Err = err
	case errors.Is(err, ErrBusy):
		d.singly(ctx, log, moves)
	default:
		half := len(moves) / 2
		if first, second := d.together(ctx, log, moves[:half]), d.together(ctx, log, moves[half:]); first != nil && second != nil {
			return errors.Join(first, second)
		}
	}
	return nil
}

// singly makes each of the moves in a transaction of its own.
func (d *DB) singly(ctx context.Context, log *tableInfo, moves []*move) {
	var g errgroup.Group
	g.SetLimit(maxSingles)
	for _, m := range moves {
		g.Go(func() error {
			m.result.Err = d.commit(ctx, log, []*move{m}, false)
			return nil
		})
	}
	_ = g.Wait() // each move has its own error
}

// commit makes the moves in one transaction and, after its COMMIT, writes their results. With skipLocked the rows that
// another transaction holds are left out and marked.
func (d *DB) commit(ctx context.Context, log *tableInfo, moves []*move, skipLocked bool) error {
	what := fmt.Sprintf("change the status of %d jobs", len(moves))
	if len(moves) == 1 {
		what = "change the status of job " + moves[0].Name
	}
	evidence := ""
	err := d.retry(ctx, what, func(ctx context.Context) error {
		if evidence != "" {
			// The last COMMIT got no answer. If it happened, what was decided then stands.
			committed, err := d.logExists(ctx, evidence)
			if err != nil || committed {
				return err
			}
		}
		var first string
		err := d.inTx(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
			first, err = d.apply(ctx, tx, log, moves, skipLocked)
			return err
		})
		if evidence = ""; errors.Is(err, ErrOutcomeUnknown) {
			evidence = first
		}
		return err
	})
	switch {
	case err != nil && evidence != "":
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	case err != nil:
		return err
	}
	for _, m := range moves {
		if !m.locked {
			*m.result = m.outcome
		}
	}
	return nil
}

// lockedRow is what a move is compared with.
type lockedRow struct {
	status, startedAt, organization, modified, owner string
	retryCount                                       int
}

// apply locks the rows, decides each move, and writes rows and log; first is the name of the first log row, if any.
func (d *DB) apply(ctx context.Context, tx *sql.Tx, log *tableInfo, moves []*move, skipLocked bool) (first string, err error) {
	rows, err := lockRows(ctx, tx, moves, skipLocked)
	if err != nil {
		return "", err
	}
	var logs []logRow
	for round := moves; len(round) > 0; { // several moves of one row take several
		var now, later []*move
		seen := make(map[string]bool, len(round))
		for _, m := range round {
			key := rowKey(m.Name)
			if seen[key] {
				later = append(later, m)
				continue
			}
			seen[key] = true
			if m.decide(rows[key], skipLocked) {
				now = append(now, m)
				logs = m.addLog(logs, rows[key])
				m.advance(rows[key])
				m.outcome.StartedRaw = rows[key].startedAt
			}
		}
		if err := updateRows(ctx, tx, now); err != nil {
			return "", err
		}
		round = later
	}
	if len(logs) == 0 {
		return "", nil
	}
	return insertLog(ctx, tx, log, d.Now(), logs)
}

// rowKey is a name as the table's collation compares it, as far as names of this series need it.
func rowKey(name string) string { return strings.ToLower(name) }

func lockRows(ctx context.Context, tx *sql.Tx, moves []*move, skipLocked bool) (map[string]*lockedRow, error) {
	names := make([]any, 0, len(moves))
	for _, m := range moves {
		names = append(names, m.Name)
	}
	// Without the hint a small table would be read, and locked, from end to end.
	query := "SELECT `name`,COALESCE(`status`,''),COALESCE(`started_at`,''),COALESCE(`organization`,''),COALESCE(`modified`,''),COALESCE(`owner`,''),`retry_count` FROM `" + tableJob +
		"` FORCE INDEX (PRIMARY) WHERE `name` IN (" + marks(len(names)) + ") FOR UPDATE"
	if skipLocked {
		query += " SKIP LOCKED"
	}
	result, err := tx.QueryContext(ctx, query, names...)
	if err != nil {
		return nil, err
	}
	defer result.Close()
	rows := make(map[string]*lockedRow, len(moves))
	for result.Next() {
		var name string
		var r lockedRow
		if err := result.Scan(&name, &r.status, &r.startedAt, &r.organization, &r.modified, &r.owner, &r.retryCount); err != nil {
			return nil, err
		}
		rows[rowKey(name)] = &r
	}
	return rows, result.Err()
}
