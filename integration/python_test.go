package integration

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opensoft/dartwing-bridge/integration/servers"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
)

// python is a process with one version of RQ that does what a test asks it.
type python struct {
	*servers.Peer
	t   *testing.T
	url string
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
	peer, err := servers.StartPeer(t.Context(), version, pythonDir(t), r.URL())
	servertest.Need(t, err)
	t.Cleanup(func() {
		_ = peer.Stop()
		if said := peer.Output(); t.Failed() && said != "" {
			t.Logf("what Python with RQ %s printed:\n%s", version, said)
		}
	})
	return &python{Peer: peer, t: t, url: r.URL()}
}

// try calls a function of testdata/python and returns what it answered or the traceback.
func (p *python) try(function string, args values, result any) (traceback string) {
	p.t.Helper()
	var raised *servers.RaisedError
	switch err := p.Ask(function, args, result); {
	case errors.As(err, &raised):
		return raised.Traceback
	case err != nil:
		p.t.Fatal(err)
	}
	return ""
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
	cmd := p.Command(append([]string{"-m", "rq.cli"}, append(args, "--url", p.url)...)...)
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
