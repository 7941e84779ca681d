package rows

import (
	"context"
	"strings"
)

// Count counts the rows of an organization in one of the statuses, of all organizations for "". It stops at most, so that it
// costs the same however many there are.
func (d *DB) Count(ctx context.Context, organization string, statuses []Status, most int) (n int, err error) {
	// One index for each status, in an order of its own: an IN would read more than it counts.
	var parts []string
	var args []any
	for _, status := range statuses {
		part := "(SELECT 1 FROM `" + tableJob + "` WHERE `status`=?"
		args = append(args, string(status))
		if organization != "" {
			part += " AND `organization`=?"
			args = append(args, organization)
		}
		parts, args = append(parts, part+" LIMIT ?)"), append(args, most)
	}
	all := strings.Join(parts, " UNION ALL ")
	if len(parts) > 1 { // one alone ends there anyway, and would be read a third time
		all, args = all+" LIMIT ?", append(args, most)
	}
	counts, err := selectAll[int](ctx, &d.conn, "count jobs", "SELECT COUNT(*) FROM ("+all+") counted", args...)
	if err != nil {
		return 0, d.tables.notice(err)
	}
	return counts[0], nil
}
