package servers

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// Peer is a process with real RQ that does what it is asked, by calls of functions in the files beside its program: see
// testdata/python/peer.py. Its methods may be called from several goroutines.
type Peer struct {
	// Python is the interpreter, of an environment with that version of RQ. Dir is where its program and the modules are.
	Python, Dir string

	version, url string
	cmd          *exec.Cmd
	log          tail

	mu      sync.Mutex // one question at a time
	in      io.WriteCloser
	answers *bufio.Reader
}

// RaisedError is what a function of Python's raised.
type RaisedError struct {
	Function, Traceback string
}

func (e *RaisedError) Error() string { return e.Function + " raised\n" + e.Traceback }

// StartPeer starts the program in dir, with that version of RQ and the Redis of that URL. The caller calls Stop; it ends with us
// as well.
func StartPeer(ctx context.Context, version, dir, url string) (*Peer, error) {
	python, err := PythonVenv(ctx, version)
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	p := &Peer{Python: python, Dir: dir, version: version, url: url}
	p.cmd = p.Command(filepath.Join(dir, "peer.py"))
	p.cmd.Stderr = &p.log
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.answers = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start Python with RQ %s: %w", version, err)
	}
	return p, nil
}

// Command is one of the interpreter, in Dir, with the Redis's URL in its environment. It isn't started.
func (p *Peer) Command(args ...string) *exec.Cmd {
	cmd := exec.Command(p.Python, args...)
	cmd.Dir, cmd.Env = p.Dir, append(os.Environ(), p.Env()...)
	return cmd
}

// Env is what Python finds modules and Redis by.
func (p *Peer) Env() []string {
	return []string{"REDIS_URL=" + p.url, "PYTHONPATH=" + p.Dir, "PYTHONDONTWRITEBYTECODE=1"}
}

// Ask calls a function, "module.name", with keyword arguments, and decodes what it returned into result unless that is nil; numbers
// in an any are json.Number. The error is a [RaisedError], or says what ended the process.
func (p *Peer) Ask(function string, args, result any) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	question, err := json.Marshal(map[string]any{"call": function, "args": args})
	if err != nil {
		return fmt.Errorf("ask Python for %s: %w", function, err)
	}
	if _, err := p.in.Write(append(question, '\n')); err != nil {
		return fmt.Errorf("ask Python for %s: %w\n%s", function, err, &p.log)
	}
	line, err := p.answers.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("ask Python with RQ %s for %s: %w\n%s", p.version, function, err, &p.log)
	}
	var answer struct {
		OK    json.RawMessage
		Error string
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		return fmt.Errorf("%s answered %q: %w", function, line, err)
	}
	if answer.Error != "" {
		return &RaisedError{function, answer.Error}
	}
	if result == nil {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(answer.OK))
	d.UseNumber()
	if err := d.Decode(result); err != nil {
		return fmt.Errorf("%s answered %s: %w", function, answer.OK, err)
	}
	return nil
}

// Output is the end of what it printed, beside its answers.
func (p *Peer) Output() string { return p.log.String() }

// Stop ends it, after the question that it is asked. Calling it again does nothing.
func (p *Peer) Stop() error {
	_ = p.in.Close()
	_ = p.cmd.Wait() // it ends with its input; a second time it has ended
	return nil
}
