package doctor

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/output"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

const (
	// overlookedAge is how long a row may stand still before it is asked who would move it: a bridge delivers what has no
	// delivery within 45 s, and moves due retries within seconds.
	overlookedAge = 2 * time.Minute
	// countMost is up to how many jobs of a state are counted.
	countMost = 1_000_000
	// overlookedMost is how many such rows of a site are looked at.
	overlookedMost = 50
)

// deadLetters says how many wait for a person, and with what the newest ended.
func (r *report) deadLetters(ctx context.Context, check string, site *frappe.Site, db *rows.DB) error {
	dead := []rows.Status{rows.StatusDeadLetter}
	newest, n, err := db.ListChanged(ctx, rows.ListFilter{Statuses: dead, Limit: 1})
	if err != nil || n == 0 {
		return err
	}
	if n, err = db.Count(ctx, "", dead, countMost); err != nil {
		return err
	}
	r.warn(check, fmt.Sprintf("bridge jobs --site %s --status dead-letter --group-by error, then bridge retry --status dead-letter", site.Name),
		"%s, the newest %s: %s", output.Plural(n, "dead letter"), newest[0].Name, firstLine(newest[0].ErrorMessage))
	return nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return output.Clip(line, 200)
}

// overlooked looks for rows that nothing will move.
func (r *report) overlooked(ctx context.Context, check string, cfg bridge.Config, db *rows.DB) error {
	n, first, err := db.Overdue(ctx, db.Now().Add(-overlookedAge))
	if err != nil {
		return err
	}
	if n > 0 {
		r.warn(check, "a running bridge that has handlers for their Job Types makes them: start it, or bridge cancel them",
			"%s overdue, the first since %s", are(n, "retry is", "retries are"), output.Clock(first))
	}
	stale, err := db.Stale(ctx, rows.Place{}, overlookedAge, overlookedMost)
	if err != nil || len(stale) == 0 {
		return err
	}
	client, err := bridge.NewClient(ctx, cfg)
	if err != nil {
		return nil // Redis is away, which another check says
	}
	defer client.Close()
	var lost []*rows.BackgroundJob
	for _, row := range stale {
		in, err := client.Inspect(ctx, db.Site(), row.Name)
		if err != nil {
			return err
		}
		if in.Job == nil || in.Job.Status.Ended() || row.Status == rows.StatusRunning && in.Job.Status != rqcompat.StatusStarted {
			lost = append(lost, row)
		}
	}
	if len(lost) > 0 {
		r.warn(check, "a running bridge that has handlers for their Job Types delivers them within a minute: start it, or bridge cancel them",
			"%s no delivery and no attempt, the first is %s of %s, %s since %s", are(len(lost), "row has", "rows have"),
			lost[0].Name, lost[0].JobType, lost[0].Status, output.Clock(lost[0].Modified))
	}
	return nil
}

func are(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// nearlyAll is the share of connections from which on the rest may be gone in the next rush, in percent.
const nearlyAll = 80

// connections looks whether the database server has room, once per server.
func (r *report) connections(ctx context.Context, check string, site *frappe.Site, db *rows.DB) error {
	c, err := db.Connections(ctx)
	if err != nil {
		return err
	}
	config := site.Config()
	server := net.JoinHostPort(config.String("db_host", "127.0.0.1"), strconv.Itoa(config.Int("db_port", 3306)))
	if c.Most > 0 && c.Open*100 >= c.Most*nearlyAll && !r.told[server] {
		r.told[server] = true
		r.warn("database "+server, "raise max_connections, or lower db_connections under bridge and the numbers of gunicorn's and Python's workers",
			"%d of %d connections are taken: whoever comes next may be refused", c.Open, c.Most)
	}
	if c.UserMost > 0 && c.User*100 >= c.UserMost*nearlyAll {
		r.warn(check, "raise max_user_connections, or lower db_connections under bridge", "%d of the %d connections of its database user are taken", c.User, c.UserMost)
	}
	return nil
}
