package rows

import (
	"context"
)

// Withheld is a row of `tabWithheld Job Result`: what a job has come to that ended while its organization was suspended.
type Withheld struct {
	Job          string `db:"background_job"`
	Organization string `db:"organization"`
	Output       string `db:"output_reference"`
}

var withheldColumns = columnsOf[Withheld]()

// Withhold keeps a job's result out of its row, where its members would see it; false on a site that can't.
func (d *DB) Withhold(ctx context.Context, w Withheld) (bool, error) {
	t, err := d.tables.get(ctx, tableWithheld)
	if err != nil {
		return false, unlessMissing(err)
	}
	now := formatTime(d.Now(), d.Location())
	output, _ := t.columns["output_reference"].fit(w.Output)
	_, err = d.exec(ctx, "withhold the result of "+w.Job, "INSERT INTO `"+tableWithheld+"` (`name`,`creation`,`modified`,`owner`,`modified_by`,`background_job`,`organization`,`output_reference`)"+
		" VALUES ("+marks(8)+") ON DUPLICATE KEY UPDATE `modified`=VALUES(`modified`),`output_reference`=VALUES(`output_reference`)",
		w.Job, now, now, systemUser(""), systemUser(""), w.Job, w.Organization, nullable(output))
	return err == nil, d.tables.notice(err)
}

// WithheldResults reads up to limit results that are withheld; none on a site without their table.
func (d *DB) WithheldResults(ctx context.Context, limit int) ([]*Withheld, error) {
	found, err := selectRows(ctx, &d.tables, "read the withheld results", tableWithheld, withheldColumns, "ORDER BY `modified`,`name` LIMIT ?", limit)
	return found, unlessMissing(err)
}

// IsWithheld reports whether a job's result is withheld.
func (d *DB) IsWithheld(ctx context.Context, job string) (bool, error) {
	found, err := selectRows(ctx, &d.tables, "look whether a result is withheld", tableWithheld, withheldColumns, "WHERE `name`=?", job)
	return len(found) > 0, unlessMissing(err)
}

// DropWithheld forgets the withheld result of a job.
func (d *DB) DropWithheld(ctx context.Context, job string) error {
	_, err := d.exec(ctx, "forget a withheld result", "DELETE FROM `"+tableWithheld+"` WHERE `name`=?", job)
	return d.tables.notice(err)
}
