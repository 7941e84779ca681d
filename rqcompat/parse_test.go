package rqcompat_test

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

func ptr[T any](v T) *T { return &v }

func TestStatusEnded(t *testing.T) {
	for _, s := range []rqcompat.Status{rqcompat.StatusFinished, rqcompat.StatusFailed, rqcompat.StatusStopped, rqcompat.StatusCanceled} {
		if !s.Ended() {
			t.Errorf("%s is not an end", s)
		}
	}
	for _, s := range []rqcompat.Status{"", rqcompat.StatusCreated, rqcompat.StatusQueued, rqcompat.StatusStarted, rqcompat.StatusDeferred, rqcompat.StatusScheduled} {
		if s.Ended() {
			t.Errorf("%q is an end", s)
		}
	}
}

// fullHash has every field that RQ 1.15 to 2.10 write, and two that it doesn't know.
func fullHash() map[string]string {
	return map[string]string{
		"created_at": "2026-11-23T11:44:24.460163Z", "enqueued_at": "2026-11-23T11:44:24.461699Z",
		"started_at": "2026-11-23T11:44:25.000000Z", "ended_at": "2026-11-23T11:44:26.500000Z",
		"last_heartbeat": "2026-11-23T11:44:26.000001Z",
		"data":           "x\x9c\x01\xff raw", "origin": "bench:default", "description": "größe", "status": "finished",
		"worker_name": "w1", "timeout": "-1", "result_ttl": "0", "failure_ttl": "604800", "ttl": "60",
		"success_callback_name": "a.b", "success_callback_timeout": "60",
		"failure_callback_name": "c.d", "failure_callback_timeout": "61",
		"stopped_callback_name": "", "meta": "\x80\x05}.", "retries_left": "2", "retry_intervals": "[5, 7]",
		"number_of_retries": "1", "enqueue_at_front_on_retry": "1",
		"dependency_id": "p|1", "dependency_ids": `["p|1", "gr\u00f6\u00dfe\ud83d\ude00\"\\"]`,
		"allow_dependency_failures": "0", "enqueue_at_front": "1", "group_id": "g", "repeats_left": "3",
		"repeat_intervals": "[]", "webhooks": `[{"url": "x"}]`, "exc_info": "x\x9c\x03\x00", "result": "\x80\x05N.",
		"rate_limit_key": "k", "bridge_kills": "1",
	}
}

func TestParseJobReadsEveryField(t *testing.T) {
	j, err := rqcompat.ParseJob("bench||1", fullHash())
	if err != nil {
		t.Fatal(err)
	}
	at := func(s string) time.Time {
		tm, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return tm
	}
	want := &rqcompat.Job{
		ID: "bench||1", Origin: "bench:default", Description: "größe", Status: rqcompat.StatusFinished,
		Data:      []byte("x\x9c\x01\xff raw"),
		CreatedAt: at("2026-11-23T11:44:24.460163Z"), EnqueuedAt: at("2026-11-23T11:44:24.461699Z"),
		StartedAt: at("2026-11-23T11:44:25Z"), EndedAt: at("2026-11-23T11:44:26.5Z"), LastHeartbeat: at("2026-11-23T11:44:26.000001Z"),
		WorkerName: "w1", Timeout: ptr(int64(-1)), ResultTTL: ptr(int64(0)), FailureTTL: ptr(int64(604800)), TTL: ptr(int64(60)),
		SuccessCallback: rqcompat.Callback{Name: "a.b", Timeout: ptr(int64(60))},
		FailureCallback: rqcompat.Callback{Name: "c.d", Timeout: ptr(int64(61))},
		Meta:            []byte("\x80\x05}."), RetriesLeft: ptr(int64(2)), RetryIntervals: []int64{5, 7},
		NumberOfRetries: ptr(int64(1)), EnqueueAtFrontOnRetry: ptr(true),
		DependencyIDs: []string{"p|1", "größe😀\"\\"}, AllowDependencyFailures: ptr(false), EnqueueAtFront: ptr(true),
		GroupID: "g", RepeatsLeft: ptr(int64(3)), RepeatIntervals: []int64{}, Webhooks: []byte(`[{"url": "x"}]`),
		ExcInfo: []byte("x\x9c\x03\x00"), Result: []byte("\x80\x05N."),
		Extra: map[string]string{"rate_limit_key": "k", "bridge_kills": "1"},
	}
	if diff := cmp.Diff(want, j); diff != "" {
		t.Errorf("job (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(fullHash(), j.Hash()); diff != "" {
		t.Errorf("hash written again (-want +got):\n%s", diff)
	}
}

func TestParseJobNamesBadFields(t *testing.T) {
	long := strings.Repeat("9", 300)
	for _, test := range []struct{ field, value, want string }{
		{"created_at", "2026-11-23 11:44:24", "timestamp"},
		{"enqueued_at", "2026-11-23T11:44:24.123456789Z", "timestamp"},
		{"started_at", "2026-11-23T11:44:24.460163+00:00", "timestamp"},
		{"ended_at", "2026-02-30T11:44:24.460163Z", "timestamp"},
		{"last_heartbeat", "\xff", "timestamp"},
		{"timeout", "180.0", "whole number"},
		{"timeout", "3m", "whole number"},
		{"timeout", long, "whole number"},
		{"result_ttl", "x", "whole number"},
		{"failure_ttl", "1_0", "whole number"},
		{"ttl", "None", "whole number"},
		{"retries_left", "two", "whole number"},
		{"number_of_retries", "0x1", "whole number"},
		{"repeats_left", "-", "whole number"},
		{"success_callback_timeout", "", "whole number"},
		{"failure_callback_timeout", "", "whole number"},
		{"stopped_callback_timeout", "1.5", "whole number"},
		{"enqueue_at_front", "", "1 or 0"},
		{"enqueue_at_front", "yes", "1 or 0"},
		{"enqueue_at_front_on_retry", "True", "1 or 0"},
		{"allow_dependency_failures", "True", "1 or 0"},
		{"status", "rate_limited", "status"},
		{"status", "Queued", "status"},
		{"retry_intervals", "[1.5]", "JSON list"},
		{"retry_intervals", "5", "JSON list"},
		{"repeat_intervals", "[1,", "JSON list"},
		{"dependency_ids", "a, b", "JSON list"},
		{"retry_intervals", "[" + strings.Repeat("0,", 1<<19) + "0]", "of at most 1 MiB"},
		{"timeout", strings.Repeat("0", 1<<20) + "1", "whole number"},
		{"dependency_ids", `[1]`, "JSON list"},
		{"origin", "\xff", "UTF-8"},
		{"description", "a\xed\xa0\x80", "UTF-8"},
		{"worker_name", "\xc3", "UTF-8"},
		{"failure_callback_name", "\xff", "UTF-8"},
	} {
		t.Run(test.field+"="+test.value[:min(len(test.value), 20)], func(t *testing.T) {
			h := fullHash()
			h[test.field] = test.value
			j, err := rqcompat.ParseJob("a", h)
			var fe *rqcompat.FieldError
			if !errors.As(err, &fe) {
				t.Fatalf("got %v, want a FieldError", err)
			}
			if fe.Field != test.field || !strings.Contains(fe.Want, test.want) {
				t.Errorf("got %+v, want field %s and %q", fe, test.field, test.want)
			}
			if len(err.Error()) > 200 {
				t.Errorf("error is %d bytes long: the value is not clipped", len(err.Error()))
			}
			if j == nil || string(j.Data) != h["data"] {
				t.Fatalf("the rest of the job is not there: %+v", j)
			}
			if diff := cmp.Diff(h, j.Hash()); diff != "" {
				t.Errorf("an unread field was changed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseJobJoinsErrorsInOrder(t *testing.T) {
	h := map[string]string{"timeout": "x", "ttl": "y", "created_at": "z", "status": "?"}
	_, err := rqcompat.ParseJob("a", h)
	if !errors.Is(err, rqcompat.ErrNoData) || !errors.Is(err, rqcompat.ErrNoSuchJob) {
		t.Errorf("%v is neither ErrNoData nor ErrNoSuchJob", err)
	}
	for range 20 {
		_, again := rqcompat.ParseJob("a", maps.Clone(h))
		if again.Error() != err.Error() {
			t.Fatalf("order changes:\n%v\n\n%v", err, again)
		}
	}
}

func TestParseJobTolerates(t *testing.T) {
	for _, test := range []struct {
		name string
		hash map[string]string
		want rqcompat.Job
	}{
		{"the minimum", map[string]string{"data": "d"}, rqcompat.Job{Data: []byte("d")}},
		{"empty fields", map[string]string{
			"data": "d", "timeout": "", "ttl": "", "result_ttl": "", "failure_ttl": "", "retries_left": "", "created_at": "",
			"enqueued_at": "", "started_at": "", "meta": "", "dependency_ids": "", "retry_intervals": "", "webhooks": "",
			"allow_dependency_failures": "", "enqueue_at_front_on_retry": "", "status": "",
		}, rqcompat.Job{Data: []byte("d")}},
		{"legacy dependency", map[string]string{"data": "d", "dependency_id": "p"}, rqcompat.Job{Data: []byte("d"), DependencyIDs: []string{"p"}}},
		{"an empty list counts, though, and is not written", map[string]string{"data": "d", "dependency_id": "p", "dependency_ids": "[]"}, rqcompat.Job{Data: []byte("d")}},
		{"no fraction", map[string]string{"data": "d", "created_at": "2026-01-02T03:04:05Z"},
			rqcompat.Job{Data: []byte("d"), CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}},
		{"spaces around numbers", map[string]string{"data": "d", "timeout": " +180\n"}, rqcompat.Job{Data: []byte("d"), Timeout: ptr(int64(180))}},
		{"unreadable webhooks", map[string]string{"data": "d", "webhooks": "{"}, rqcompat.Job{Data: []byte("d"), Webhooks: []byte("{")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			j, err := rqcompat.ParseJob("a", test.hash)
			if err != nil {
				t.Fatal(err)
			}
			test.want.ID = "a"
			if diff := cmp.Diff(&test.want, j); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestHashHasWhatReadersNeed(t *testing.T) {
	h := (&rqcompat.Job{Data: []byte("d")}).Hash()
	want := map[string]string{
		"data": "d", "created_at": "", "started_at": "", "ended_at": "", "last_heartbeat": "", "worker_name": "",
		"group_id": "", "success_callback_name": "", "failure_callback_name": "", "stopped_callback_name": "",
	}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFormatTime(t *testing.T) {
	zone := time.FixedZone("", 2*3600)
	for _, test := range []struct {
		in   time.Time
		want string
	}{
		{time.Time{}, ""},
		{time.Date(2026, 11, 23, 13, 44, 24, 460163999, zone), "2026-11-23T11:44:24.460163Z"},
		{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "2026-01-02T03:04:05.000000Z"},
	} {
		if got := rqcompat.FormatTime(test.in); got != test.want {
			t.Errorf("%v: got %q, want %q", test.in, got, test.want)
		}
	}
}

func TestParseTime(t *testing.T) {
	for in, want := range map[string]time.Time{
		"2026-11-23T11:44:24.460163Z": time.Date(2026, 11, 23, 11, 44, 24, 460163000, time.UTC),
		"2026-11-23T11:44:24.5Z":      time.Date(2026, 11, 23, 11, 44, 24, 500000000, time.UTC),
		"2024-02-29T23:59:59Z":        time.Date(2024, 2, 29, 23, 59, 59, 0, time.UTC),
		"0001-01-01T00:00:00.000001Z": time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC),
	} {
		if got, err := rqcompat.ParseTime(in); err != nil || !got.Equal(want) {
			t.Errorf("%s: got %v, %v, want %v", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", "Z", "2026-11-23T11:44:24.460163", "2026-11-23T11:44:24.460163z", "2026-11-23T11:44:24.Z",
		"2026-11-23T11:44:24.4601631Z", "2026-11-23 11:44:24.460163Z", "2026-13-23T11:44:24.460163Z",
		"2026-11-31T11:44:24.460163Z", "2026-11-23T24:00:00.000000Z", "2026-11-23T11:60:24.460163Z",
		"2026-11-23T11:44:60.460163Z", "0000-01-01T00:00:00.000000Z", "+026-11-23T11:44:24.460163Z",
		"2026-00-01T00:00:00.000000Z", "2026-01-00T00:00:00.000000Z", "2026-11-23T11:44:24,460163Z", "2026-11-23T11:44:24.46x163Z",
	} {
		if got, err := rqcompat.ParseTime(in); err == nil {
			t.Errorf("%q: got %v, want an error", in, got)
		}
	}
}

func FuzzParseJob(f *testing.F) {
	for name, value := range fullHash() {
		f.Add(name, value)
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		h := fullHash()
		h[name] = value
		j, err := rqcompat.ParseJob("a", h)
		if err == nil {
			// What was read without an error must be readable again and mean the same.
			again, err := rqcompat.ParseJob("a", j.Hash())
			if diff := cmp.Diff(j, again); err != nil || diff != "" {
				t.Errorf("%s=%q: %v, (-first +second):\n%s", name, value, err, diff)
			}
		}
		_, _ = j.Call()
		_, _ = j.Payload(1 << 16)
	})
}
