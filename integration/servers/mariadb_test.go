package servers_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
)

func openDB(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func mustExec(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func TestMariaDBKeepsCommittedRowsThroughACrash(t *testing.T) {
	ctx := t.Context()
	m := servertest.PrivateMariaDB(t)
	if err := m.CreateDatabase(ctx, "d", "root", ""); err != nil {
		t.Fatal(err)
	}
	db := openDB(t, m.DSN("d"))
	mustExec(t, db, "CREATE TABLE t (i int)", "INSERT t VALUES (1)")
	m.Kill()
	if err := db.PingContext(ctx); err == nil {
		t.Fatal("a killed server answers")
	}
	for _, round := range []string{"after a crash", "after a shutdown"} {
		if err := m.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		fresh := openDB(t, m.DSN("d"))
		var n, durable int
		err := fresh.QueryRowContext(ctx, "SELECT count(*), @@innodb_flush_log_at_trx_commit FROM t").Scan(&n, &durable)
		if err != nil || n != 1 || durable != 1 {
			t.Errorf("%s: rows = %d, durable = %d, error %v; want 1, 1", round, n, durable, err)
		}
	}
}

func TestDatabasesOfTwoTestsAreApart(t *testing.T) {
	one, two := servertest.Database(t), servertest.Database(t)
	if one == two {
		t.Fatalf("both are %s", one)
	}
	mustExec(t, openDB(t, one), "CREATE TABLE only_in_one (i int)")
	_, err := openDB(t, two).ExecContext(t.Context(), "SELECT * FROM only_in_one")
	if !isMySQLError(err, 1146) {
		t.Errorf("error = %v, want 1146 (no such table)", err)
	}
}

func TestCreateDatabaseGivesTheUserNothingElse(t *testing.T) {
	ctx := t.Context()
	m := servertest.MariaDB(t)
	// The underscore is a wildcard in GRANT; the second name would match it.
	const mine, other, password = "_5a_mine", "_5aXmine", `it's \ "quoted"`
	for _, name := range []string{mine, other} {
		if err := m.CreateDatabase(ctx, name, name, password); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.DropDatabase(context.Background(), name) })
	}
	mustExec(t, openDB(t, m.UserDSN(mine, mine, password)), "CREATE TABLE t (i int)")
	if err := openDB(t, m.UserDSN(other, mine, password)).PingContext(ctx); !isMySQLError(err, 1044) {
		t.Errorf("other database: error = %v, want 1044 (access denied)", err)
	}
	if err := openDB(t, m.UserDSN(mine, mine, "wrong")).PingContext(ctx); !isMySQLError(err, 1045) {
		t.Errorf("wrong password: error = %v, want 1045", err)
	}
}

func isMySQLError(err error, number uint16) bool {
	var e *mysql.MySQLError
	return errors.As(err, &e) && e.Number == number
}

func TestMariaDBStartErrorHasTheServersWords(t *testing.T) {
	servertest.MariaDB(t) // skips where there is none
	_, err := servers.StartMariaDB(t.Context(), "--no-such-option")
	if err == nil || !strings.Contains(err.Error(), "no-such-option") {
		t.Errorf("error = %v, want one with mariadbd's complaint", err)
	}
}
