package rows

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
)

// The states of a circuit breaker.
const (
	BreakerOpen   = "Open"   // the jobs wait
	BreakerTrial  = "Trial"  // one of them was let through
	BreakerClosed = "Closed" // the jobs run
)

// Breaker is a row of `tabJob Circuit Breaker`: of a Job Type and an organization whose attempts failed again and again. There is
// none for those that never did.
type Breaker struct {
	Name         string    `db:"name"`
	JobType      string    `db:"job_type"`
	Organization string    `db:"organization"`
	Status       string    `db:"status"`
	OpenedAt     time.Time `db:"opened_at"`
	// NextTrialAt is for people, in the site's time, of which an hour may come twice; UntilUTC is the same instant as it counts, and
	// tells one opening from the next. While a trial is under way it is when that is given up.
	NextTrialAt time.Time `db:"next_trial_at"`
	UntilUTC    string    `db:"until_utc"`
	TrialJob    string    `db:"trial_job"` // the row that was let through
	Failures    int       `db:"failures"`  // of so many Attempts, when it opened
	Attempts    int       `db:"attempts"`
	LastError   string    `db:"last_error"`
}

var breakerColumns = columnsOf[Breaker]()

// Until is when the next trial may be made; the zero time for a breaker that doesn't say.
func (b *Breaker) Until() time.Time {
	t, _ := time.Parse(time.RFC3339Nano, b.UntilUTC)
	return t
}

// Pair is the name that the breaker of a Job Type and an organization gets when it first opens.
func (b *Breaker) Pair() string {
	return frappe.Digest(b.JobType + "\x00" + b.Organization)[:16]
}

// breakersKept is how long it may stay unseen that a breaker opens or closes.
const breakersKept = 2 * time.Second

// OpenBreakers reads the site's breakers that aren't closed, cached for 2 s; a site without their table has none. Don't change them.
func (d *DB) OpenBreakers(ctx context.Context) ([]*Breaker, error) {
	return d.breakers.Get(ctx, "", breakersKept, func() ([]*Breaker, error) {
		found, err := selectRows(ctx, &d.tables, "read the open circuit breakers", tableBreaker, breakerColumns,
			"WHERE `status` IN (?,?) ORDER BY `opened_at`,`name`", BreakerOpen, BreakerTrial)
		return found, unlessMissing(err)
	})
}

// unlessMissing is err, unless it says that a table isn't there, which is worth remembering.
func unlessMissing(err error) error {
	if errors.Is(err, ErrTableMissing) {
		return nil
	}
	return err
}

// Breakers reads up to limit of the site's breakers, those that changed last first.
func (d *DB) Breakers(ctx context.Context, limit int) ([]*Breaker, error) {
	return selectRows(ctx, &d.tables, "read the circuit breakers", tableBreaker, breakerColumns, "ORDER BY `modified` DESC LIMIT ?", limit)
}

// OpenBreaker opens the breaker of b's Job Type and organization until an instant, unless it is open already.
func (d *DB) OpenBreaker(ctx context.Context, b Breaker, until time.Time) (opened bool, err error) {
	b.Name, b.Status = b.Pair(), BreakerClosed
	t, err := d.tables.get(ctx, tableBreaker)
	if err != nil {
		return false, err
	}
	now := formatTime(d.Now(), d.Location())
	_, err = d.exec(ctx, "make a circuit breaker", "INSERT IGNORE INTO `"+tableBreaker+"` (`name`,`creation`,`modified`,`owner`,`modified_by`,`job_type`,`organization`,`status`)"+
		" VALUES ("+marks(8)+")", b.Name, now, now, systemUser(""), systemUser(""), b.JobType, b.Organization, b.Status)
	if err != nil {
		return false, d.tables.notice(err)
	}
	b.LastError, _ = t.columns["last_error"].fit(b.LastError)
	return d.moveBreaker(ctx, b, BreakerOpen, until, "`opened_at`=?,`failures`=?,`attempts`=?,`last_error`=?", now, b.Failures, b.Attempts, nullable(b.LastError))
}

// TryBreaker lets job through as the trial of a breaker, as it was read, until an instant by which it is over or given up. It is
// false if somebody else was first.
func (d *DB) TryBreaker(ctx context.Context, b Breaker, job string, until time.Time) (bool, error) {
	return d.moveBreaker(ctx, b, BreakerTrial, until, "`trial_job`=?", job)
}

// ReopenBreaker ends the trial of a breaker, as it was read: the next one may be made at an instant.
func (d *DB) ReopenBreaker(ctx context.Context, b Breaker, until time.Time) (bool, error) {
	return d.moveBreaker(ctx, b, BreakerOpen, until, "`trial_job`=NULL")
}

// CloseBreaker closes a breaker, as it was read, for actor; "" is the system.
func (d *DB) CloseBreaker(ctx context.Context, b Breaker, actor string) (bool, error) {
	return d.moveBreaker(ctx, b, BreakerClosed, time.Time{}, "`trial_job`=NULL,`modified_by`=?", systemUser(actor))
}

// moveBreaker is the compare-and-swap of a breaker: it still has to have the state, and unless that is Closed the instant, that it
// was read with.
func (d *DB) moveBreaker(ctx context.Context, b Breaker, to string, until time.Time, set string, args ...any) (bool, error) {
	defer d.breakers.Forget()
	var local, utc any
	if !until.IsZero() {
		local, utc = formatTime(until, d.Location()), until.UTC().Format(time.RFC3339Nano)
	}
	args = append(args, to, formatTime(d.Now(), d.Location()), local, utc, b.Name, b.Status, b.Status, BreakerClosed, b.UntilUTC)
	n, err := d.exec(ctx, fmt.Sprintf("make the circuit breaker of %s %s", b.JobType, to), "UPDATE `"+tableBreaker+"` SET "+set+
		",`status`=?,`modified`=?,`next_trial_at`=?,`until_utc`=? WHERE `name`=? AND `status`=? AND (?=? OR COALESCE(`until_utc`,'')=?)", args...)
	return n > 0, d.tables.notice(err)
}

// ForgetHolds has pauses and breakers read anew.
func (d *DB) ForgetHolds() {
	d.pauses.Forget()
	d.breakers.Forget()
}
