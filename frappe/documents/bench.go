package documents

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
)

//go:embed bench.py
var script string

// benchSite is a site as the bench's own Python has it: a child process, which ends with its input.
type benchSite struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers *bufio.Reader
	printed *tail
}

// OnBench opens a site with the bench's own Python, env/bin/python, as the owner of the sites directory: Frappe's files
// have to stay his. ErrNoBench where that can't be. Without write the site can only be looked at.
func OnBench(ctx context.Context, b *frappe.Bench, site string, write bool) (Site, error) {
	s, err := b.Site(site)
	if err != nil {
		return nil, err
	}
	if write && s.MaintenanceMode() {
		return nil, fmt.Errorf("site %s is in maintenance mode: run this again when it is over (bench --site %[1]s set-maintenance-mode off)", site)
	}
	as, err := benchUser(b.SitesDir)
	if err != nil {
		return nil, err
	}
	program := filepath.Join(b.Dir, "env", "bin", "python")
	if _, err := os.Stat(program); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoBench, err)
	}
	cmd := exec.Command(program, "-c", script, site, map[bool]string{true: "write", false: "read"}[write])
	cmd.Dir, cmd.WaitDelay = b.SitesDir, time.Second
	cmd.Env = append(os.Environ(), "FRAPPE_BENCH_ROOT="+b.Dir, "PYTHONWARNINGS=ignore")
	// A group of its own: Ctrl-C is ours to hear, so that what has begun ends in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: as}
	p := &benchSite{cmd: cmd, printed: &tail{}}
	cmd.Stderr = p.printed
	if p.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.answers = bufio.NewReader(out)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoBench, err)
	}
	if err := p.answer(ctx, nil); err != nil {
		return nil, errors.Join(fmt.Errorf("open site %s in the bench's Python: %w", site, err), p.Close())
	}
	return p, nil
}

// benchUser is whom to become, nil for who we are: whoever owns the sites directory. Only root can become another.
func benchUser(sites string) (*syscall.Credential, error) {
	info, err := os.Stat(sites)
	if err != nil {
		return nil, fmt.Errorf("sites directory: %w", err)
	}
	owner := info.Sys().(*syscall.Stat_t)
	switch os.Geteuid() {
	case int(owner.Uid):
		return nil, nil
	case 0:
		return &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}, nil
	}
	name := strconv.Itoa(int(owner.Uid))
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	return nil, fmt.Errorf("%w: %s belongs to %s, and this is user %d; run it as %[3]s (sudo -u %[3]s)", ErrNoBench, sites, name, os.Geteuid())
}

// tail keeps the end of what a process prints.
type tail struct{ text bytes.Buffer }

const tailKept = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.text.Write(p)
	if over := t.text.Len() - tailKept; over > 0 {
		t.text.Next(over)
	}
	return len(p), nil
}

// ask sends one request; result, unless nil, takes its answer. The end of ctx ends the process.
func (p *benchSite) ask(ctx context.Context, request map[string]any, result any) error {
	if err := ctx.Err(); err != nil {
		return p.ended(ctx, err)
	}
	line, err := json.Marshal(request)
	if err != nil {
		return err
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return p.ended(ctx, err)
	}
	return p.answer(ctx, result)
}

func (p *benchSite) answer(ctx context.Context, result any) error {
	defer context.AfterFunc(ctx, func() { _ = p.cmd.Process.Kill() })()
	line, err := p.answers.ReadBytes('\n')
	if err != nil {
		return p.ended(ctx, err)
	}
	var answer struct {
		Answer json.RawMessage
		Error  string
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		return fmt.Errorf("the bench's Python answered %.200q: %w", line, err)
	}
	if answer.Error != "" {
		return errors.New(answer.Error)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(answer.Answer, result)
}

func (p *benchSite) ended(ctx context.Context, err error) error {
	_ = p.Close() // how it ended is in what it printed
	return fmt.Errorf("the bench's Python ended: %w: %s", cmp.Or(context.Cause(ctx), err), strings.TrimSpace(p.printed.text.String()))
}

func (p *benchSite) Get(ctx context.Context, doctype, name string) (fields map[string]any, err error) {
	err = p.ask(ctx, map[string]any{"do": "get", "doctype": doctype, "name": name}, &fields)
	return fields, err
}

func (p *benchSite) Bring(ctx context.Context, fields map[string]any) (now map[string]any, err error) {
	err = p.ask(ctx, map[string]any{"do": "bring", "fields": fields}, &now)
	return now, err
}

func (p *benchSite) Save(ctx context.Context, doctype, name string, fields map[string]any) (now map[string]any, err error) {
	err = p.ask(ctx, map[string]any{"do": "save", "doctype": doctype, "name": name, "fields": fields}, &now)
	return now, err
}

func (p *benchSite) Delete(ctx context.Context, doctype, name string) error {
	return p.ask(ctx, map[string]any{"do": "delete", "doctype": doctype, "name": name}, nil)
}

func (p *benchSite) Count(ctx context.Context, doctype string) (n int, err error) {
	err = p.ask(ctx, map[string]any{"do": "count", "doctype": doctype}, &n)
	return n, err
}

func (p *benchSite) Forget(ctx context.Context) error {
	return p.ask(ctx, map[string]any{"do": "forget"}, nil)
}

// Close ends the process.
func (p *benchSite) Close() error {
	_ = p.in.Close()
	if err := p.cmd.Wait(); err != nil && p.cmd.ProcessState == nil {
		return err
	}
	return nil
}
