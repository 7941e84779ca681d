package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// serialized is a job as Python sees it with RQ's JSONSerializer.
type serialized struct {
	Value string
	Meta  values
}

func (f *fleet) serialized(id string) (s serialized) {
	f.t.Helper()
	f.py.call("serialized.look", values{"id": id}, &s)
	return s
}

// TestJSONSerializer: on a queue with RQ's JSONSerializer Go and Python read each other's jobs, meta and results.
func TestJSONSerializer(t *testing.T) {
	forEachRQ(t, func(t *testing.T, version string) {
		f := newFleet(t, version, nil)
		own := f.own()
		produce := func(id, function string, args ...any) {
			f.py.call("serialized.produce", values{"queue": own, "id": id, "func": function, "args": args, "meta": values{"k": "ü"}}, nil)
		}
		odd := values{"t": "grüße\n", "n": nil, "f": 0.5, "l": []any{1, true}}
		produce("sum", "tasks.add", 1, 2)
		produce("first", "go.first", odd)
		produce("nan", "go.nan")
		produce("struct", "go.struct")
		produce("impossible", "go.impossible")
		produce("again", "go.again")
		f.py.call("serialized.produce", values{"queue": own, "id": "told", "func": "tasks.add", "args": []int{3, 4}, "on_success": "tasks.tell"}, nil)
		runs := &attempts{}
		f.start(func(e *bridge.Engine) {
			registerTasks(runs)(e)
			bridge.Register(e, "go.first", func(_ context.Context, job *bridge.Job[struct {
				Args []json.RawMessage `json:"args"`
			}]) (any, error) {
				return job.Params.Args[0], nil
			})
			bridge.Register(e, "go.nan", func(context.Context, *bridge.RawJob) (any, error) {
				return []any{math.NaN(), math.Inf(1), math.Inf(-1)}, nil
			})
			bridge.Register(e, "go.struct", func(context.Context, *bridge.RawJob) (any, error) {
				return struct {
					Rows int `json:"rows"`
				}{12}, nil
			})
			bridge.Register(e, "go.impossible", func(context.Context, *bridge.RawJob) (any, error) { return make(chan int), nil })
			bridge.Register(e, "go.again", func(_ context.Context, job *bridge.RawJob) (any, error) {
				if runs.next(job.ID) == 1 {
					return nil, bridge.Permanent(fmt.Errorf("once"))
				}
				return "in the end", nil
			})
		})
		f.waitStatus("again", rqcompat.StatusFailed)
		f.py.call("serialized.requeue", values{"id": "again"}, nil)
		for id, value := range map[string]string{
			"sum": "3", "first": `{'f': 0.5, 'l': [1, True], 'n': None, 't': 'grüße\n'}`, "nan": "[nan, inf, -inf]", "struct": "{'rows': 12}",
			"impossible": "'Unserializable return value'", "again": "'in the end'", "told": "7",
		} {
			f.waitStatus(id, rqcompat.StatusFinished)
			got := f.serialized(id)
			want(t, id+": value", got.Value, value)
			if id != "told" {
				want(t, id+": meta", fmt.Sprint(got.Meta), "map[k:ü]")
			}
		}
		f.py.call("serialized.work", values{"queues": []string{f.shared()}}, nil)
		want(t, "callbacks", len(f.told()["told"]), 1)
		want(t, "what the callback got", fmt.Sprint(f.told()["told"][0].Got, f.told()["told"][0].Args), "[7] [3 4]")
	})
}

// TestJSONSerializerFromGo: a call that Go enqueues for such a queue is run by a Python worker of it, whose result Go reads.
func TestJSONSerializerFromGo(t *testing.T) {
	forEachRQ(t, func(t *testing.T, version string) {
		f := newFleet(t, version, nil)
		queue := f.own()
		for id, c := range map[string]rqcompat.Call{"sum": call("tasks.add", 20, 22), "nan": call("tasks.add", math.NaN(), 1), "text": call("tasks.add", "grü", "ße")} {
			c.Serializer = rqcompat.JSONSerializer
			if _, err := f.rq.Enqueue(t.Context(), rqcompat.Request{ID: id, Queue: queue, Call: c, Meta: map[string]any{"k": "v"}}); err != nil {
				t.Fatal(err)
			}
		}
		f.py.call("serialized.work", values{"queues": []string{queue}}, nil)
		for id, value := range map[string]string{"sum": "42", "nan": "NaN", "text": "grüße"} {
			results, err := f.rq.Results(t.Context(), id)
			if err != nil || len(results) != 1 {
				t.Fatalf("%s: results %+v, %v", id, results, err)
			}
			got, err := results[0].Value()
			if err != nil || fmt.Sprint(got) != value {
				t.Errorf("%s: %v, %v, want %s", id, got, err, value)
			}
			want(t, id+": meta", fmt.Sprint(f.serialized(id).Meta), "map[k:v]")
		}
	})
}
