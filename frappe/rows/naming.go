package rows

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// jobSeriesOption is what the field naming_series holds. Frappe appends five digits (model/naming.py make_autoname).
var jobSeriesOption = "JOB-.YYYY.-"

// jobSeries is the counter's name in tabSeries, with this year in the site's zone.
func jobSeries(now time.Time) string { return now.Format("JOB-2006-") }

// jobName is the name of a row for one value of the counter. Longer numbers aren't cut.
func jobName(now time.Time, counter int64) string {
	return fmt.Sprintf("%s%05d", jobSeries(now), counter)
}

// nextNumbers draws n numbers of a counter and returns the first. It is one statement, which is safe against Frappe's
// SELECT … FOR UPDATE and UPDATE of the same row, and, unlike those, against another one that creates the same new key.
// The counter's row stays locked until the transaction's end, and a rollback gives the numbers back.
func nextNumbers(ctx context.Context, tx *sql.Tx, key string, n int) (first int64, err error) {
	var last int64
	err = tx.QueryRowContext(ctx, "INSERT INTO `tabSeries` (`name`,`current`) VALUES (?,?) ON DUPLICATE KEY UPDATE `current`=`current`+VALUES(`current`) RETURNING `current`", key, n).Scan(&last)
	if err != nil {
		return 0, err
	}
	return last - int64(n) + 1, nil
}

const hashLength = 10

// hashNames draws n names for a DocType named by hash. As Frappe's they start with the time in tenths of a second, so that
// rows written together lie together; the rest is random in the first and counts up, so that one batch never collides.
func hashNames(now time.Time, n int) []string {
	tail := rand.Uint32()
	head := uint32(now.UnixMilli() / 100)
	names := make([]string, n)
	for i := range names {
		names[i] = base32(head, 4) + base32(tail+uint32(i), hashLength-4)
	}
	return names
}

// base32 are the last digits of v in base32hex, in lower case, as Frappe's generate_hash.
func base32(v uint32, digits int) string {
	text := strings.Repeat("0", digits) + strconv.FormatUint(uint64(v), 32)
	return text[len(text)-digits:]
}
