package integration

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
)

// python is a process with one version of RQ that does what a test asks it: see testdata/python/peer.py.
type python struct {
	t       *testing.T
	program string
	url     string

	mu      sync.Mutex // one question at a time
	in      io.WriteCloser
	answers *bufio.Reader
	log     *bytes.Buffer // owned by the process until it ended
}

type values = map[string]any

func pythonDir(t testing.TB) string {
	t.Helper()
	dir, err := filepath.Abs("../testdata/python")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// startPython starts a process that talks to r and ends with the test.
func startPython(t *testing.T, version string, r *servers.Redis) *python {
	t.Helper()
	p := &python{t: t, program: servertest.Python(t, version), url: r.URL(), log: &bytes.Buffer{}}
	cmd := p.command(filepath.Join(pythonDir(t), "peer.py"))
	cmd.Stderr = p.log
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.in, p.answers = in, bufio.NewReader(out)
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
		if t.Failed() && p.log.Len() > 0 {
			t.Logf("what Python with RQ %s printed:\n%s", version, p.log)
		}
	})
	return p
}

func (p *python) command(args ...string) *exec.Cmd {
	cmd := exec.Command(p.program, args...)
	cmd.Dir = pythonDir(p.t)
	cmd.Env = append(os.Environ(), "REDIS_URL="+p.url, "PYTHONPATH="+cmd.Dir, "PYTHONDONTWRITEBYTECODE=1")
	return cmd
}

// try calls a function of testdata/python and returns what it answered or the traceback.
func (p *python) try(function string, args values, result any) (traceback string) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	question, err := json.Marshal(values{"call": function, "args": args})
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.in.Write(append(question, '\n')); err != nil {
		p.t.Fatalf("ask Python for %s: %v", function, err)
	}
	line, err := p.answers.ReadBytes('\n')
	if err != nil {
		p.t.Fatalf("Python ended in %s: %v", function, err)
	}
	var answer struct {
		OK    json.RawMessage
		Error string
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		p.t.Fatalf("%s answered %q: %v", function, line, err)
	}
	if answer.Error == "" && result != nil {
		d := json.NewDecoder(bytes.NewReader(answer.OK))
		d.UseNumber()
		if err := d.Decode(result); err != nil {
			p.t.Fatalf("%s answered %s: %v", function, answer.OK, err)
		}
	}
	return answer.Error
}

// call is try for what must not raise.
func (p *python) call(function string, args values, result any) {
	p.t.Helper()
	if traceback := p.try(function, args, result); traceback != "" {
		p.t.Fatalf("%s raised\n%s", function, traceback)
	}
}

// cli runs RQ's command line tool and returns what it printed.
func (p *python) cli(args ...string) string {
	p.t.Helper()
	cmd := p.command(append([]string{"-m", "rq.cli"}, append(args, "--url", p.url)...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.t.Fatalf("rq %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// seen is a job as RQ's own API shows it.
type seen struct {
	Status, Func, Call, Worker, Result, Exc string
	Value, Heartbeat                        any
	Args                                    []any
	Kwargs, Meta                            values
	Results, Dependencies                   []string
	Started, Ended                          bool
	Took                                    *float64
	TTL                                     int64
	RetriesLeft                             *int `json:"retries_left"`
}

// jobs reads jobs through Job.fetch_many; a job that does not exist is nil.
func (p *python) jobs(ids ...string) map[string]*seen {
	p.t.Helper()
	var found map[string]*seen
	p.call("look.jobs", values{"ids": ids}, &found)
	return found
}

func (p *python) job(id string) *seen {
	p.t.Helper()
	return p.jobs(id)[id]
}

// registries are the ids of a queue and its registries by kind: queued, started, finished, …
func (p *python) registries(queue string) map[string][]string {
	p.t.Helper()
	var found map[string][]string
	p.call("look.queue", values{"name": queue}, &found)
	return found
}

// seenWorker is a worker as RQ's own API shows it.
type seenWorker struct {
	Name, State, Job, Current, Heartbeat, Birth, Version, Python string
	PID                                                          int
	Queues                                                       []string
	Successful, Failed                                           int
	Time                                                         float64
}

func (p *python) workers() (ws []seenWorker) {
	p.t.Helper()
	p.call("look.workers", nil, &ws)
	return ws
}
