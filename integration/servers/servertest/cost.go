package servertest

import (
	"database/sql"
	"math"
	"slices"
	"testing"
	"time"
)

// Cost is what something makes a database server do.
type Cost struct {
	// Read is how many rows of tables, indexes and temporary tables it reads at least, beside those that it answers.
	Read, Answered int
	// Took is how long it takes in the middle.
	Took time.Duration
}

// rowsRead sums what the server has read, with the entries of indexes that a condition ruled out.
const rowsRead = "SELECT CAST(SUM(IF(variable_name='HANDLER_ICP_MATCH',-variable_value,variable_value)) AS INT) FROM information_schema.global_status" +
	" WHERE variable_name LIKE 'HANDLER\\_READ%' OR variable_name LIKE 'HANDLER\\_ICP%'"

// remembered is how long what a bridge knows of a site is remembered at least. What takes longer, as on a machine that does much
// else, finds it forgotten, and reads it again.
const remembered = time.Second

// CostOf does something, once and then so many times, on a server that does nothing else. do says how many rows it answers.
func CostOf(t testing.TB, server *sql.DB, turns int, do func() (answered int)) Cost {
	t.Helper()
	read := func() (n int) {
		t.Helper()
		if err := server.QueryRowContext(t.Context(), rowsRead).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	do() // what is remembered for a while is read now
	itself := math.MaxInt
	for range 3 {
		before := read()
		itself = min(itself, read()-before)
	}
	c := Cost{Read: math.MaxInt}
	var took []time.Duration
	for again := 10; len(took) < turns; {
		before, began := read(), time.Now()
		answered := do()
		spent := time.Since(began)
		if spent > remembered && again > 0 {
			again--
			continue
		}
		took = append(took, spent)
		if n := read() - before - itself - answered; n < c.Read {
			c.Read, c.Answered = n, answered
		}
	}
	slices.Sort(took)
	c.Took = took[len(took)/2]
	return c
}

// Grows reports whether something that was done on a small site and on a large one costs more than twice as much there.
func (c Cost) Grows(large Cost) bool { return large.Read > 2*c.Read+10 } // single rows are no sign of anything
