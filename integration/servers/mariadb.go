package servers

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"
)

// MariaDB is a private mariadbd that writes as durably as a production server (innodb_flush_log_at_trx_commit=1),
// with a small buffer pool. Its user root has no password.
type MariaDB struct {
	Addr   string // "127.0.0.1:port"
	Host   string // "127.0.0.1"
	Port   int
	Socket string // path of its socket file

	dataDir string
	p       *process
}

// StartMariaDB starts mariadbd on a free loopback port and returns when it answers, after 0.5 to 1 s. The arguments
// are passed on after our own, such as "--innodb-buffer-pool-size=1G".
func StartMariaDB(ctx context.Context, arguments ...string) (*MariaDB, error) {
	path, err := lookPath("mariadbd")
	if err != nil {
		return nil, err
	}
	template, err := mariadbTemplate(ctx, path)
	if err != nil {
		return nil, err
	}
	var lastErr error
	for range startAttempts {
		m, err := startMariaDBOnce(ctx, path, template, arguments)
		if err == nil {
			return m, nil
		}
		lastErr = err
		if ctx.Err() != nil || !strings.Contains(err.Error(), "Address already in use") {
			break
		}
	}
	return nil, lastErr
}

func startMariaDBOnce(ctx context.Context, path, template string, arguments []string) (*MariaDB, error) {
	p, err := newProcess("mariadbd", path)
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, errors.Join(err, p.remove())
	}
	m := &MariaDB{
		Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Host: "127.0.0.1", Port: port,
		Socket: filepath.Join(p.dir, "s"), dataDir: filepath.Join(p.dir, "data"), p: p,
	}
	if err := os.CopyFS(m.dataDir, os.DirFS(template)); err != nil {
		return nil, errors.Join(fmt.Errorf("copy the MariaDB template: %w", err), p.remove())
	}
	p.args = append(append(mariadbArguments(m.dataDir), "--port="+strconv.Itoa(port), "--bind-address=127.0.0.1",
		"--socket="+m.Socket, "--pid-file="+filepath.Join(p.dir, "pid"), "--tmpdir="+p.dir), arguments...)
	if err := p.start(ctx, m.ready); err != nil {
		return nil, errors.Join(err, p.remove())
	}
	return m, nil
}

// mariadbArguments are those that making the template and running share. --no-defaults comes first: the machine's own
// /etc/mysql must not leak in.
func mariadbArguments(dataDir string) []string {
	args := []string{
		"--no-defaults", "--datadir=" + dataDir, "--skip-name-resolve", "--skip-log-bin",
		"--character-set-server=utf8mb4", "--collation-server=utf8mb4_unicode_ci",
		"--innodb-log-file-size=32M", "--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=1",
		"--performance-schema=OFF", "--max-connections=300", "--table-open-cache=400",
	}
	if os.Getuid() == 0 {
		// It refuses to run as root unless told so in so many words.
		args = append(args, "--user=root")
	}
	return args
}

// ready asks the server where its data are, which no other server can answer in the same way.
func (m *MariaDB) ready(ctx context.Context) error {
	db, err := m.open("")
	if err != nil {
		return err
	}
	defer db.Close()
	var dataDir string
	if err := db.QueryRowContext(ctx, "SELECT @@datadir").Scan(&dataDir); err != nil {
		return err
	}
	if filepath.Clean(dataDir) != m.dataDir {
		return fmt.Errorf("port %d is answered by the server of %s", m.Port, dataDir)
	}
	return nil
}

// open is for this package's own few statements; the driver's complaints about a server that is still starting are
// kept off the terminal.
func (m *MariaDB) open(database string) (*sql.DB, error) {
	cfg, err := mysql.ParseDSN(m.DSN(database))
	if err != nil {
		return nil, err
	}
	cfg.Timeout = 5 * time.Second
	cfg.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// DSN is the address of a database for the user root, in the form of github.com/go-sql-driver/mysql; "" for none.
func (m *MariaDB) DSN(database string) string {
	return m.UserDSN(database, "root", "")
}

// UserDSN is the address of a database for the given user.
func (m *MariaDB) UserDSN(database, user, password string) string {
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr, cfg.DBName, cfg.User, cfg.Passwd = "tcp", m.Addr, database, user, password
	cfg.Collation = "utf8mb4_unicode_ci"
	return cfg.FormatDSN()
}

// CreateDatabase makes an empty database as bench new-site does, and a user that may do everything in it and nothing
// elsewhere. An existing database of that name is dropped first.
func (m *MariaDB) CreateDatabase(ctx context.Context, name, user, password string) error {
	statements := []string{
		"DROP DATABASE IF EXISTS " + quoteName(name),
		"CREATE DATABASE " + quoteName(name) + " CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci",
	}
	if user != "root" {
		account := quoteString(user) + "@'%'"
		statements = append(statements,
			"CREATE OR REPLACE USER "+account+" IDENTIFIED BY "+quoteString(password),
			"GRANT ALL ON "+quoteName(escapeWildcards(name))+".* TO "+account)
	}
	return m.Exec(ctx, statements...)
}

// DropDatabase removes a database; one that is not there is no error.
func (m *MariaDB) DropDatabase(ctx context.Context, name string) error {
	return m.Exec(ctx, "DROP DATABASE IF EXISTS "+quoteName(name))
}

// Exec runs statements as root, on one connection and outside any database. The error names the first two words of
// the statement, not the rest: it may hold a password.
func (m *MariaDB) Exec(ctx context.Context, statements ...string) error {
	db, err := m.open("")
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, statement := range statements {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			words := strings.Fields(statement)
			return fmt.Errorf("%s on %s: %w", strings.Join(words[:min(2, len(words))], " "), m.Addr, err)
		}
	}
	return nil
}

func quoteName(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

func quoteString(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(s) + "'"
}

// escapeWildcards: a database name in GRANT is a pattern.
func escapeWildcards(name string) string {
	return strings.NewReplacer(`_`, `\_`, `%`, `\%`).Replace(name)
}

// Stop ends the server and removes its data. Calling it again does nothing.
func (m *MariaDB) Stop() error { return m.p.remove() }

// Kill ends the server at once, as a crash would. Restart brings it back with what was committed.
func (m *MariaDB) Kill() { m.p.kill() }

// Restart ends the server in order if it runs, and starts it again on the same port and data.
func (m *MariaDB) Restart(ctx context.Context) error {
	m.p.terminate(ctx)
	return m.p.start(ctx, m.ready)
}

// Pause freezes the server: connections stay open and nobody answers. Resume thaws it.
func (m *MariaDB) Pause() error { return m.p.signal(syscall.SIGSTOP) }

// Resume lets a paused server go on.
func (m *MariaDB) Resume() error { return m.p.signal(syscall.SIGCONT) }
