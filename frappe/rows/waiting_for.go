package rows

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// SetWaitingFor writes why rows wait, by name, "" for those that do no longer, of those that are still Pending or Queued. As
// with progress, `modified` stays as it is, and a locked row, a desk save, is left for the next time.
func (d *DB) SetWaitingFor(ctx context.Context, why map[string]string) error {
	t, err := d.tables.get(ctx, tableJob)
	if err != nil || !t.has(colWaitingFor.name) {
		return err
	}
	for names := range slices.Chunk(slices.Sorted(maps.Keys(why)), maxBatch) {
		var values []any
		for _, name := range names {
			text, _ := t.columns[colWaitingFor.name].fit(why[name])
			values = append(values, name, nullable(text))
		}
		query := "SET STATEMENT innodb_lock_wait_timeout=1 FOR UPDATE `" + tableJob + "` FORCE INDEX (PRIMARY) SET `waiting_for`=CASE `name`" +
			strings.Repeat(" WHEN ? THEN ?", len(names)) + " END WHERE `name` IN (" + marks(len(names)) + ") AND `status` IN ('Pending','Queued')"
		_, err := d.exec(ctx, fmt.Sprintf("write why %d jobs wait", len(names)), query, append(values, anys(names)...)...)
		if err != nil && errorNumber(err) != errLockWaitTimeout {
			return err
		}
	}
	return nil
}
