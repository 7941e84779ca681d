package commands

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/cli"
	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"go.uber.org/goleak"
)

// standIn is the variable that makes the test binary the program itself, so that workers run in processes of their own.
const standIn = "STAND_IN_FOR_THE_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(standIn) != "" {
		os.Exit(Run(context.Background(), "", os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
	}
	goleak.VerifyTestMain(m)
}

const (
	testSite = "site1.localhost"
	testOrg  = "ORG-A"
	waitLong = 30 * time.Second
)

// result is what a command line came to.
type result struct {
	code     int
	out, err string
}

// bridgeCommand runs the program within this process.
func bridgeCommand(t *testing.T, args ...string) result {
	t.Helper()
	return bridgeWithInput(t, "", args...)
}

func bridgeWithInput(t *testing.T, input string, args ...string) result {
	t.Helper()
	var out, err bytes.Buffer
	code := Run(t.Context(), "1.2.3", args, cli.Streams{In: strings.NewReader(input), Out: &out, Err: &err})
	return result{code, out.String(), err.String()}
}

// bed is a bench with one installed site and an organization.
type bed struct {
	t     *testing.T
	dir   string
	redis *servers.Redis
}

// newBed makes a bench that the environment names; cfg says more about it.
func newBed(t *testing.T, cfg servers.BenchConfig) *bed {
	t.Helper()
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); servers.IsBenchVariable(name) {
			t.Setenv(name, "")
		}
	}
	r := servertest.Redis(t)
	b := &bed{t: t, redis: r, dir: servertest.Bench(t, r, cfg)}
	t.Setenv("BRIDGE_BENCH", b.dir)
	if got := bridgeCommand(t, "install", "--all-sites", "--samples"); got.code != exitcode.OK {
		t.Fatalf("install: %+v", got)
	}
	b.exec("UPDATE `tabJob Type` SET deduplication_window=0") // tests submit the same again and again
	b.exec("INSERT INTO `tabOrganization` (name, creation, modified, owner, modified_by, org_name, status) VALUES (?, NOW(6), NOW(6), 'Administrator', 'Administrator', ?, 'Active')", testOrg, testOrg)
	b.exec("INSERT INTO tabUser (name, creation, modified, owner, modified_by, email) VALUES (?, NOW(6), NOW(6), 'Administrator', 'Administrator', ?)", "jane@example.com", "jane@example.com")
	b.exec("INSERT INTO `tabHas Role` (name, creation, modified, owner, modified_by, parent, parenttype, parentfield, role) VALUES ('jane', NOW(6), NOW(6), 'Administrator', 'Administrator', ?, 'User', 'roles', 'System Manager')", "jane@example.com")
	return b
}

// exec changes the site's database behind the program's back.
func (b *bed) exec(query string, args ...any) {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join(b.dir, "sites", testSite, "site_config.json"))
	if err != nil {
		b.t.Fatal(err)
	}
	var c struct {
		Host     string `json:"db_host"`
		Port     int    `json:"db_port"`
		Name     string `json:"db_name"`
		Password string `json:"db_password"`
	}
	if err := json.Unmarshal(text, &c); err != nil {
		b.t.Fatal(err)
	}
	db, err := sqlx.Open("mysql", fmt.Sprintf("%s:%s@tcp(%s:%d)/%s", c.Name, c.Password, c.Host, c.Port, c.Name))
	if err != nil {
		b.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(b.t.Context(), query, args...); err != nil {
		b.t.Fatalf("%s: %v", query, err)
	}
}

// program starts the program as a process of its own, which the test's end stops.
func program(t *testing.T, out io.Writer, args ...string) *servers.Child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c, err := servers.StartChild(strings.Join(args, " "), t.TempDir(), []string{standIn + "=1"}, out, self, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(waitLong); err != nil {
			t.Error(err)
		}
	})
	return c
}

// worker starts a bridge worker.
func (b *bed) worker(args ...string) *servers.Child {
	b.t.Helper()
	return program(b.t, nil, append([]string{"worker", "--stop-timeout", "1s", "--log-format", "json"}, args...)...)
}

// must runs a command that is to succeed and returns what it printed.
func must(t *testing.T, args ...string) string {
	t.Helper()
	got := bridgeCommand(t, args...)
	if got.code != exitcode.OK {
		t.Fatalf("bridge %s: %+v", strings.Join(args, " "), got)
	}
	return got.out
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(waitLong); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out: %s", what)
		}
	}
}

// waitStatus waits until a Background Job has the status.
func waitStatus(t *testing.T, name, status string) {
	t.Helper()
	var last string
	eventually(t, name+" becomes "+status, func() bool {
		last = must(t, "job", name, "--json")
		return decode[jobView](t, last).Row.Status == status
	})
}

// jobView is what job --json prints, as a script reads it.
type jobView struct {
	Row struct {
		Name, Status    string
		StartedAt       time.Time       `json:"started_at"`
		InputParameters json.RawMessage `json:"input_parameters"`
	}
	RQ struct {
		ID, Status string
		Results    []struct{ Outcome, Traceback string }
	}
	History []struct {
		From string `json:"from_status"`
		To   string `json:"to_status"`
	}
}

func decode[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}
