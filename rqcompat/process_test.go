package rqcompat

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestProcesses(t *testing.T) {
	b := newBed(t, "2.6.1")
	p := NewProcess("bridge-1", "1.2.3")
	p.Queues, p.Handlers, p.Slots, p.Running = []string{"b:go"}, []string{"echo_job"}, 5, 1
	p.Abandoned = []Abandoned{{JobID: "s||JOB-1", Queue: "b:go", Row: "JOB-1", Method: "echo_job", Since: time.Now()}}
	younger := NewProcess("bridge-2", "")
	younger.Birth = p.Birth.Add(time.Second)
	for _, process := range []Process{younger, p} {
		if err := b.Publish(b.ctx(), process); err != nil {
			t.Fatal(err)
		}
	}
	b.wantTTL("rq:process:bridge-1", 30)
	got, err := b.Processes(b.ctx())
	if diff := cmp.Diff([]Process{p, younger}, got); err != nil || diff != "" {
		t.Errorf("processes, %v (-want +got):\n%s", err, diff)
	}
	b.do("SET", "rq:process:bridge-2", "{")
	if got, err := b.Processes(b.ctx()); len(got) != 1 || err == nil {
		t.Errorf("with a broken record: %v, %v, want the other one and an error", got, err)
	}
	b.do("DEL", "rq:process:bridge-2") // as the expiry does
	if got, err := b.Processes(b.ctx()); len(got) != 1 || err != nil {
		t.Errorf("with an expired record: %v, %v, want one", got, err)
	}
	if err := b.Withdraw(b.ctx(), "bridge-1"); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Processes(b.ctx()); len(got) != 0 || err != nil {
		t.Errorf("after the last one left: %v, %v", got, err)
	}
}
