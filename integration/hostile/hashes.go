package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/redis/go-redis/v9"
)

// spoil changes what lies in Redis for a job that is otherwise fine: whoever can write there can write anything.
type spoil struct {
	name string
	do   func(ctx context.Context, p redis.Pipeliner, id string)
}

// set overwrites fields of the hash.
func set(pairs ...string) func(context.Context, redis.Pipeliner, string) {
	return func(ctx context.Context, p redis.Pipeliner, id string) { p.HSet(ctx, rqcompat.JobKey(id), pairs) }
}

// without removes fields of the hash.
func without(fields ...string) func(context.Context, redis.Pipeliner, string) {
	return func(ctx context.Context, p redis.Pipeliner, id string) { p.HDel(ctx, rqcompat.JobKey(id), fields...) }
}

// instead puts something else where a key of the job belongs; %s stands for its id.
func instead(form string, put func(ctx context.Context, p redis.Pipeliner, key string)) func(context.Context, redis.Pipeliner, string) {
	return func(ctx context.Context, p redis.Pipeliner, id string) {
		key := fmt.Sprintf(form, id)
		p.Del(ctx, key)
		put(ctx, p, key)
	}
}

func aText(ctx context.Context, p redis.Pipeliner, key string) { p.Set(ctx, key, "x", 0) }
func aList(ctx context.Context, p redis.Pipeliner, key string) { p.RPush(ctx, key, "x", "y") }
func aSet(ctx context.Context, p redis.Pipeliner, key string)  { p.SAdd(ctx, key, "x") }
func scores(ctx context.Context, p redis.Pipeliner, key string) {
	p.ZAdd(ctx, key, redis.Z{Score: 1e300, Member: "x"})
}
func aStream(ctx context.Context, p redis.Pipeliner, key string) {
	p.XAdd(ctx, &redis.XAddArgs{Stream: key, Values: []string{"x", "y"}})
}
func aHash(ctx context.Context, p redis.Pipeliner, key string) { p.HSet(ctx, key, "x", "y") }

var hashes = []spoil{
	{"no hash", func(ctx context.Context, p redis.Pipeliner, id string) { p.Del(ctx, rqcompat.JobKey(id)) }},
	{"a text for the hash", instead("rq:job:%s", aText)},
	{"a list for the hash", instead("rq:job:%s", aList)},
	{"a set for the hash", instead("rq:job:%s", aSet)},
	{"scores for the hash", instead("rq:job:%s", scores)},
	{"a stream for the hash", instead("rq:job:%s", aStream)},
	{"a text for the results", instead("rq:results:%s", aText)},
	{"a text for the dependents", instead("rq:job:%s:dependents", aText)},
	{"a hash for the dependents", instead("rq:job:%s:dependents", aHash)},
	{"a text for the dependencies", instead("rq:job:%s:dependencies", aText)},
	{"a text for the executions", instead("rq:executions:%s", aText)},
	{"half a hash", without("created_at", "enqueued_at", "origin", "status", "timeout")},
	{"nothing but the call", without("created_at", "enqueued_at", "origin", "status", "timeout", "description", "result_ttl", "failure_ttl", "failure_callback_name", "failure_callback_timeout", "worker_name", "started_at", "ended_at", "last_heartbeat")},
	{"no call", without("data")},
	{"an empty call", set("data", "")},
	{"rubbish for the call", set("data", strings.Repeat("\xff\x00\x80rubbish", 1000))},
	{"half a zlib stream", set("data", "x\x9c\x01\xff")},
	{"zlib of nothing", set("data", "x\x9c\x03\x00\x00\x00\x00\x01")},
	{"JSON for the call", set("data", `["hostile.bad", null, [], {}]`)},
	{"JSON that is deep", set("data", strings.Repeat("[", 100_000))},
	{"JSON with a long number", set("data", `["hostile.bad", null, [], {"n": `+strings.Repeat("9", 300_000)+`}]`)},
	{"broken dates", set("created_at", "yesterday", "enqueued_at", "2026-02-30T25:61:61.000000Z", "started_at", "x", "last_heartbeat", "NaN")},
	{"dates of other ages", set("created_at", "0001-01-01T00:00:00.000000Z", "enqueued_at", "9999-12-31T23:59:59.999999Z")},
	{"a date not UTF-8", set("created_at", "\xff\xfe")},
	{"a status that isn't", set("status", "\x00strange")},
	{"finished already", set("status", "finished", "ended_at", "2026-01-01T00:00:00.000000Z")},
	{"started by somebody", set("status", "started", "worker_name", "somebody", "started_at", "2026-01-01T00:00:00.000000Z")},
	{"a timeout of letters", set("timeout", "soon")},
	{"a timeout beyond int64", set("timeout", "99999999999999999999999")},
	{"a timeout of 10^13", set("timeout", "10000000000000")},
	{"the least timeout", set("timeout", "-9223372036854775808")},
	{"no time at all", set("timeout", "0")},
	{"times to live of letters", set("result_ttl", "x", "failure_ttl", "1e400", "ttl", "\xff")},
	{"times to live beyond all", set("result_ttl", "9223372036854775807", "failure_ttl", "9223372036854775807")},
	{"negative times to live", set("result_ttl", "-9", "failure_ttl", "-9", "ttl", "-9")},
	{"retries that lie", set("retries_left", "999999999", "retry_intervals", "[-1, 0, 99999999999999999999]", "number_of_retries", "-5")},
	{"intervals that are no numbers", set("retries_left", "3", "retry_intervals", `["x", {}, null]`)},
	{"intervals without an end", set("retries_left", "3", "retry_intervals", "["+strings.Repeat("1,", 100_000))},
	{"a hundred thousand intervals", set("retries_left", "3", "retry_intervals", "["+strings.Repeat("0,", 100_000)+"0]")},
	{"repeats that lie", set("repeats_left", "999999999", "repeat_intervals", "[0]")},
	{"a callback of a megabyte", set("success_callback_name", strings.Repeat("c", megabyte))},
	{"a callback not UTF-8", set("failure_callback_name", "\xff\xfe", "failure_callback_timeout", "-1e9")},
	{"a stranger's callback", set("stopped_callback_name", "os.system", "stopped_callback_timeout", "x")},
	{"another queue's", set("origin", "bench:long")},
	{"a queue's name of a megabyte", set("origin", strings.Repeat("q", megabyte))},
	{"dependencies that don't exist", set("dependency_ids", `["x", "\ud800", ""]`, "dependency_id", "x")},
	{"dependencies that are no list", set("dependency_ids", `{"a": 1}`)},
	{"a hundred thousand dependencies", set("dependency_ids", `["`+strings.Repeat(`a","`, 100_000)+`a"]`)},
	{"meta that is rubbish", set("meta", "\x80\x05\xff")},
	{"a group that isn't", set("group_id", strings.Repeat("\xff", 1000))},
	{"a result before the end", set("result", "\x80\x05N.", "exc_info", "x\x9c\xff")},
	{"ten thousand fields", func(ctx context.Context, p redis.Pipeliner, id string) {
		var pairs []string
		for i := range 10_000 {
			pairs = append(pairs, fmt.Sprint("field-", i), "x")
		}
		p.HSet(ctx, rqcompat.JobKey(id), pairs)
	}},
	{"a field of ten megabytes", set("description", strings.Repeat("d", 10*megabyte))},
	{"a field's name of a megabyte", set(strings.Repeat("f", megabyte), "x")},
}
