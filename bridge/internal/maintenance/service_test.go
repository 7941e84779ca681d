package maintenance

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// background runs loop until the returned function is called.
func background(t *testing.T, loop func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		loop(ctx)
		close(done)
	}()
	return func() {
		cancel()
		<-done
	}
}

// TestServicesHaveTheirPace: each at once or after its delay and then again and again, errors or not.
func TestServicesHaveTheirPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			log bytes.Buffer
			mu  sync.Mutex
			ran []string
		)
		begin := time.Now()
		service := func(what string, every, delay time.Duration, err error) Service {
			return Service{What: what, Every: every, Delay: delay, Do: func(context.Context) error {
				mu.Lock()
				defer mu.Unlock()
				ran = append(ran, fmt.Sprint(time.Since(begin), " ", what))
				return err
			}}
		}
		stop := background(t, func(ctx context.Context) {
			Run(ctx, slog.New(slog.NewTextHandler(&log, nil)), []Service{
				service("often", 500*time.Millisecond, 0, nil), service("broken", 1800*time.Millisecond, 0, errBroken), service("late", time.Hour, 1300*time.Millisecond, nil),
			})
		})
		time.Sleep(2100 * time.Millisecond)
		synctest.Wait()
		stop()
		slices.Sort(ran)
		want := []string{"0s broken", "0s often", "1.3s late", "1.5s often", "1.8s broken", "1s often", "2s often", "500ms often"}
		if !slices.Equal(ran, want) {
			t.Errorf("ran %v, want %v", ran, want)
		}
		if got := log.String(); strings.Count(got, "maintenance failed; it is tried again") != 1 || !strings.Contains(got, "what=broken") {
			t.Errorf("log:\n%s\nwant one line, which names the service, for what fails again within a minute", got)
		}
	})
}

// TestASlowServiceHoldsUpNoOther, and a stop is not a failure, nor a time to begin.
func TestASlowServiceHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		times := 0
		stop := background(t, func(ctx context.Context) {
			Run(ctx, slog.New(slog.NewTextHandler(&log, nil)), []Service{
				{What: "slow", Every: time.Second, Do: func(ctx context.Context) error {
					<-ctx.Done()
					return ctx.Err()
				}},
				{What: "quick", Every: time.Second, Do: func(context.Context) error {
					times++
					return nil
				}},
				{What: "never", Every: time.Second, Delay: time.Hour, Do: func(context.Context) error {
					t.Error("a service begins at the stop")
					return nil
				}},
			})
		})
		time.Sleep(time.Minute + time.Millisecond)
		stop()
		if times != 61 || log.Len() > 0 {
			t.Errorf("the quick one ran %d times in a minute beside one that hangs, log %q; want 61 times and nothing", times, log.String())
		}
	})
}

// TestADeliveryOutlivesAStop: a stop in between must not leave the row without its delivery.
func TestADeliveryOutlivesAStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		begin := time.Now()
		row := &rows.BackgroundJob{Name: "JOB-1"}
		err := Deliver(func(ctx context.Context, s string, r *rows.BackgroundJob) error {
			if ctx.Err() != nil || s != site || r != row {
				t.Errorf("delivers %s of %s with a context that says %v", r.Name, s, ctx.Err())
			}
			<-ctx.Done()
			return errBroken
		}).of(site, row)(ctx)
		if err != errBroken || time.Since(begin) != lastDelivery {
			t.Errorf("%v after %s, want the delivery's error when its %s are over", err, time.Since(begin), lastDelivery)
		}
	})
}

// registryCalls is RQ as Registries uses it.
type registryCalls struct {
	calls    []string
	err      map[string]error
	inFailed map[string]int64
}

func (r *registryCalls) TrimFailed(_ context.Context, queue string, limit int64) (int64, error) {
	r.calls = append(r.calls, fmt.Sprint("trim ", queue, " ", limit))
	if err := r.err[queue]; err != nil {
		return 0, err
	}
	r.inFailed[queue] = min(r.inFailed[queue], limit)
	return 0, nil
}

func (r *registryCalls) Maintain(_ context.Context, queue string, ours func(string) bool) (rqcompat.MaintenanceReport, error) {
	r.calls = append(r.calls, "maintain "+queue)
	if !ours("bridge-1") || ours("python-1") {
		r.calls = append(r.calls, "and doesn't know whose a worker is")
	}
	return rqcompat.MaintenanceReport{}, r.err[queue]
}

func (r *registryCalls) MaintainGroups(context.Context) (int64, error) {
	r.calls = append(r.calls, "groups")
	return 0, r.err["groups"]
}

// releases is RQ as Dependents uses it: how many times there is more.
type releases int

func (r *releases) ReleaseDependents(context.Context) (bool, error) {
	*r--
	if *r < 0 {
		return false, errBroken
	}
	return *r > 0, nil
}

// TestDependentsAreReleasedToTheLast, or until it fails.
func TestDependentsAreReleasedToTheLast(t *testing.T) {
	left := releases(5)
	d := Dependents{RQ: &left}
	if err := d.Do(t.Context()); err != nil || left != 0 {
		t.Errorf("%v, %d steps left, want none", err, left)
	}
	if err := d.Do(t.Context()); err != errBroken {
		t.Errorf("got %v, want %v", err, errBroken)
	}
}

func newRegistries(rq *registryCalls, limit *int64) *Registries {
	return &Registries{RQ: rq, Queues: queues, Limit: func() int64 { return *limit }}
}

// TestFailedRegistriesAreTrimmed: limit 3, six failures: three are left.
func TestFailedRegistriesAreTrimmed(t *testing.T) {
	rq := &registryCalls{inFailed: map[string]int64{"b:go": 6, "b:default": 6}, err: map[string]error{}}
	limit := int64(3)
	s := newRegistries(rq, &limit)
	if err := s.Trim(t.Context()); err != nil || len(rq.calls) > 0 {
		t.Errorf("nothing failed: %v, %v, want no trim", err, rq.calls)
	}
	for range 6 {
		s.Failed("b:go")
	}
	for range 2 {
		if err := s.Trim(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(rq.calls, []string{"trim b:go 3"}) || rq.inFailed["b:go"] != 3 {
		t.Errorf("six failures and two trims: %v, %d are left, want one trim and 3", rq.calls, rq.inFailed["b:go"])
	}
	limit = 2 // the configuration may change
	s.Failed("b:go")
	if err := s.Trim(t.Context()); err != nil || rq.inFailed["b:go"] != 2 {
		t.Errorf("with another limit %d are left, %v", rq.inFailed["b:go"], err)
	}
}

// TestATrimThatFailedIsTriedAgain, and keeps no other queue.
func TestATrimThatFailedIsTriedAgain(t *testing.T) {
	rq := &registryCalls{inFailed: map[string]int64{"b:go": 6, "b:default": 6}, err: map[string]error{"b:go": errBroken}}
	limit := int64(3)
	s := newRegistries(rq, &limit)
	s.Failed("b:go")
	s.Failed("b:default")
	if err := s.Trim(t.Context()); err == nil || rq.inFailed["b:default"] != 3 {
		t.Errorf("the broken trim: %v, %d are left in the other registry, want its error and 3", err, rq.inFailed["b:default"])
	}
	rq.err, rq.calls = nil, nil
	if err := s.Trim(t.Context()); err != nil || !slices.Equal(rq.calls, []string{"trim b:go 3"}) || rq.inFailed["b:go"] != 3 {
		t.Errorf("the next time: %v, %v, %d are left, want the broken one trimmed", err, rq.calls, rq.inFailed["b:go"])
	}
}

func TestRegistriesAreMaintained(t *testing.T) {
	rq := &registryCalls{err: map[string]error{"b:go": errBroken}}
	limit := int64(3)
	if err := newRegistries(rq, &limit).Maintain(t.Context()); err == nil || !slices.Equal(rq.calls, []string{"maintain b:go", "maintain b:default", "groups"}) {
		t.Errorf("%v, %v, want the first queue's error, and the others done all the same", err, rq.calls)
	}
	rq.err = map[string]error{"groups": errBroken}
	if err := newRegistries(rq, &limit).Maintain(t.Context()); err == nil {
		t.Error("the groups' error is lost")
	}
}

func TestEachQueue(t *testing.T) {
	var done []string
	err := each(queues, func(q job.Queue) error {
		done = append(done, q.Name)
		return errBroken
	})
	if err == nil || strings.Count(err.Error(), "broken") != 2 || !slices.Equal(done, []string{"b:go", "b:default"}) {
		t.Errorf("%v after %v, want both queues and both errors", err, done)
	}
}
