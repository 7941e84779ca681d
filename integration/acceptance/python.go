package main

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
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
)

//go:embed driver.py
var driver string

// values are the arguments of a piece of Python.
type values = map[string]any

// python is the bench's own interpreter with Frappe in it. It is started by the first question, and again if it ended.
type python struct {
	program, sites, site string
	env                  []string

	mu      sync.Mutex // one question at a time
	cmd     *exec.Cmd  // nil while none runs
	in      io.WriteCloser
	answers *bufio.Reader
	printed *bytes.Buffer // owned by the process until it ended
}

// newPython is env/bin/python in sites/, as bench's commands run it.
func newPython(b *frappe.Bench, site string) *python {
	return &python{
		program: filepath.Join(b.Dir, "env", "bin", "python"), sites: b.SitesDir, site: site,
		env: append(os.Environ(), "FRAPPE_BENCH_ROOT="+b.Dir, "PYTHONWARNINGS=ignore"),
	}
}

func (p *python) start() error {
	cmd := exec.Command(p.program, "-c", driver, p.site)
	cmd.Dir, cmd.Env, cmd.SysProcAttr, cmd.WaitDelay = p.sites, p.env, ownGroup(), time.Second
	p.printed = &bytes.Buffer{}
	cmd.Stderr = p.printed
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the bench's Python: %w", err)
	}
	p.cmd, p.in, p.answers = cmd, in, bufio.NewReader(out)
	return nil
}

// stop ends the interpreter, which ends with its input.
func (p *python) stop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.end()
	return nil
}

// end waits for the end of the interpreter and returns the end of what it printed.
func (p *python) end() (printed string) {
	if p.cmd == nil {
		return ""
	}
	_ = p.in.Close()
	_ = p.cmd.Wait() // how it ended is in what it printed
	p.cmd = nil
	printed = strings.TrimSpace(p.printed.String())
	return printed[max(0, len(printed)-600):]
}

// do runs a piece of Python on the site, in a connection and transaction of its own. result, unless nil, takes what it
// left in answer. The end of ctx ends the interpreter.
func (p *python) do(ctx context.Context, code string, args values, result any) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	question, err := json.Marshal(values{"code": code, "args": args})
	if err != nil {
		return err
	}
	if p.cmd == nil {
		if err := p.start(); err != nil {
			return err
		}
	}
	process := p.cmd.Process
	stop := context.AfterFunc(ctx, func() { _ = process.Kill() })
	defer stop()
	var line []byte
	if _, err = p.in.Write(append(question, '\n')); err == nil {
		line, err = p.answers.ReadBytes('\n')
	}
	if err != nil {
		return fmt.Errorf("the bench's Python ended: %w: %s", cmp.Or(context.Cause(ctx), err), p.end())
	}
	var answer struct {
		Answer json.RawMessage
		Error  string
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		return fmt.Errorf("the bench's Python answered %q: %w", line, err)
	}
	if answer.Error != "" {
		return errors.New("Python: " + answer.Error)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(answer.Answer, result)
}
