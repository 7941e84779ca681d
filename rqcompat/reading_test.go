package rqcompat

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// wantReading begins to read job j as a process and checks how many others died of it; -1 for one that is at it now.
func (b *bed) wantReading(process string, want int) {
	b.t.Helper()
	deaths, err := b.BeginReading(b.ctx(), "j", process)
	if errors.Is(err, ErrBeingRead) {
		deaths, err = -1, nil
	}
	if err != nil || deaths != want {
		b.t.Errorf("%s begins: %d deaths, %v, want %d", process, deaths, err, want)
	}
}

// aged makes what a process began 31 s old.
func (b *bed) aged(process string) {
	b.t.Helper()
	b.do("ZINCRBY", "rq:reading:j", -31_000, process)
}

func TestReading(t *testing.T) {
	b := newBed(t, "2.6.1")
	b.wantReading("p1", 0)
	b.wantReading("p1", 0) // it lives
	b.wantReading("p2", -1)
	if err := b.EndReading(b.ctx(), "j", "p1"); err != nil {
		t.Fatal(err)
	}
	b.wantReading("p2", 0)
	b.aged("p2")
	b.wantReading("p3", 1)
	b.wantTTL("rq:reading:j", 86400)
	b.aged("p3")
	b.wantReading("p4", 2)
	b.wantReading("p5", -1)
	if err := b.EndReading(b.ctx(), "j", "p4"); err != nil {
		t.Fatal(err)
	}
	b.aged("p3")
	b.wantReading("p5", 2)
	_ = b.EndReading(b.ctx(), "j", "p5")
	_ = b.EndReading(b.ctx(), "j", "p2")
	_ = b.EndReading(b.ctx(), "j", "p3")
	if n := b.do("EXISTS", "rq:reading:j"); fmt.Sprint(n) != "0" {
		t.Errorf("notes are left when every reading has ended: %v", n)
	}
}

func TestFetchSmall(t *testing.T) {
	b := newBed(t, "2.6.1")
	var ids []string
	for i := range 600 {
		id := fmt.Sprint("j", i)
		ids = append(ids, id)
		b.do("HSET", "rq:job:"+id, "data", "d"+id, "description", "x")
	}
	b.do("HSET", "rq:job:j7", "data", strings.Repeat("x", 200))
	b.do("HSET", "rq:job:j8", "description", strings.Repeat("x", 200))
	b.do("HSET", "rq:job:j599", "meta", strings.Repeat("x", 200))
	b.do("DEL", "rq:job:j9")
	b.do("DEL", "rq:job:j10")
	b.do("SET", "rq:job:j10", strings.Repeat("x", 500))
	results, err := b.FetchSmall(b.ctx(), ids, 100)
	if err != nil || len(results) != len(ids) {
		t.Fatalf("%d results, %v", len(results), err)
	}
	for i, r := range results {
		large := i == 7 || i == 8 || i == 599
		switch {
		case errors.Is(r.Err, ErrLarge) != large || large && r.Job != nil:
			t.Errorf("job %d: %+v, %v, want it large: %v", i, r.Job, r.Err, large)
		case i == 9 && !errors.Is(r.Err, ErrNoSuchJob), i == 10 && (r.Err == nil || r.Job != nil):
			t.Errorf("job %d: %+v, %v", i, r.Job, r.Err)
		case !large && i != 9 && i != 10 && (r.Job.ID != ids[i] || string(r.Job.Data) != "d"+ids[i]):
			t.Errorf("job %d is %s with %q", i, r.Job.ID, r.Job.Data)
		}
	}
	if got, err := b.FetchSmall(b.ctx(), nil, 100); err != nil || len(got) != 0 {
		t.Errorf("of no job: %v, %v", got, err)
	}
}
