package rqcompat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// Hash is what a full save writes: every field RQ always has, possibly empty, the optional ones that are set, and
// Extra. rq/job.py Job.to_dict.
func (j *Job) Hash() map[string]string {
	h := make(map[string]string, 24+len(j.Extra))
	for _, name := range alwaysPresent {
		h[name] = ""
	}
	maps.Copy(h, j.Extra)
	if j.Data != nil {
		h["data"] = string(j.Data)
	}
	j.putTexts(h)
	putTime(h, "created_at", j.CreatedAt)
	putTime(h, "enqueued_at", j.EnqueuedAt)
	putTime(h, "started_at", j.StartedAt)
	putTime(h, "ended_at", j.EndedAt)
	putTime(h, "last_heartbeat", j.LastHeartbeat)

	putInt(h, "timeout", j.Timeout)
	putInt(h, "result_ttl", j.ResultTTL)
	putInt(h, "failure_ttl", j.FailureTTL)
	putInt(h, "ttl", j.TTL)
	putInt(h, "retries_left", j.RetriesLeft)
	putInt(h, "number_of_retries", j.NumberOfRetries)
	putInt(h, "repeats_left", j.RepeatsLeft)
	putInt(h, "success_callback_timeout", j.SuccessCallback.Timeout)
	putInt(h, "failure_callback_timeout", j.FailureCallback.Timeout)
	putInt(h, "stopped_callback_timeout", j.StoppedCallback.Timeout)
	putInts(h, "retry_intervals", j.RetryIntervals)
	putInts(h, "repeat_intervals", j.RepeatIntervals)
	putFlag(h, "allow_dependency_failures", j.AllowDependencyFailures)
	putFlag(h, "enqueue_at_front", j.EnqueueAtFront)
	if j.EnqueueAtFrontOnRetry {
		h["enqueue_at_front_on_retry"] = "1"
	}
	if len(j.DependencyIDs) > 0 {
		h["dependency_id"] = j.DependencyIDs[0]
		h["dependency_ids"] = pythonStrings(j.DependencyIDs)
	}
	return h
}

// alwaysPresent are the fields of every full save. group_id is RQ 2's; older readers ignore it.
var alwaysPresent = []string{
	"created_at", "started_at", "ended_at", "last_heartbeat", "worker_name", "group_id",
	"success_callback_name", "failure_callback_name", "stopped_callback_name",
}

func (j *Job) putTexts(h map[string]string) {
	for _, f := range [...]struct{ name, value string }{
		{"origin", j.Origin}, {"description", j.Description}, {"status", string(j.Status)},
		{"worker_name", j.WorkerName}, {"group_id", j.GroupID}, {"webhooks", j.Webhooks},
		{"success_callback_name", j.SuccessCallback.Name}, {"failure_callback_name", j.FailureCallback.Name},
		{"stopped_callback_name", j.StoppedCallback.Name},
		{"meta", string(j.Meta)}, {"exc_info", string(j.ExcInfo)}, {"result", string(j.Result)},
	} {
		if f.value != "" {
			h[f.name] = f.value
		}
	}
}

func putTime(h map[string]string, name string, t time.Time) {
	if !t.IsZero() {
		h[name] = FormatTime(t)
	}
}

func putInt(h map[string]string, name string, n *int64) {
	if n != nil {
		h[name] = strconv.FormatInt(*n, 10)
	}
}

func putFlag(h map[string]string, name string, b *bool) {
	if b != nil {
		h[name] = "0"
		if *b {
			h[name] = "1"
		}
	}
}

// putInts writes a list as Python's json.dumps does, with a space behind the comma. nil is unset, empty is [].
func putInts(h map[string]string, name string, list []int64) {
	if list == nil {
		return
	}
	b := []byte{'['}
	for i, n := range list {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = strconv.AppendInt(b, n, 10)
	}
	h[name] = string(append(b, ']'))
}

// pythonStrings writes a list of strings as Python's json.dumps does: ASCII only, a space behind the comma.
func pythonStrings(list []string) string {
	var utf8JSON bytes.Buffer
	enc := json.NewEncoder(&utf8JSON)
	enc.SetEscapeHTML(false)
	b := []byte{'['}
	for i, s := range list {
		if i > 0 {
			b = append(b, ", "...)
		}
		utf8JSON.Reset()
		_ = enc.Encode(s) // a string and a bytes.Buffer have no errors
		for _, r := range strings.TrimSuffix(utf8JSON.String(), "\n") {
			if r < utf8.RuneSelf {
				b = append(b, byte(r))
				continue
			}
			for _, unit := range utf16.Encode([]rune{r}) {
				b = fmt.Appendf(b, `\u%04x`, unit)
			}
		}
	}
	return string(append(b, ']'))
}
