package rqcompat

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// ResultType tells how an execution ended. rq/results.py Result.Type.
type ResultType int

// The result types of RQ 1.15 to 2.10. This package writes the first two only: older readers raise on the others.
const (
	ResultSuccessful ResultType = 1
	ResultFailed     ResultType = 2
	ResultStopped    ResultType = 3 // defined by RQ, written by no release
	ResultRetried    ResultType = 4 // since 2.1
	ResultMaxRetries ResultType = 5 // since 2.8
)

// Result is one entry of a job's result stream. rq/results.py Result.restore, 1.15.1–2.10.
type Result struct {
	ID          string // of the stream entry
	Type        ResultType
	CreatedAt   time.Time // from the id, milliseconds
	WorkerName  string
	ExcString   string // the traceback text of a failure
	ReturnValue []byte // the serialized value; nil stands for None. See Value.
	Err         error  // what of this entry could not be read; Python readers raise on it
}

// Value decodes the return value. None is nil.
func (r *Result) Value() (any, error) {
	if r.ReturnValue == nil {
		return nil, nil
	}
	v, _, _, err := decodeValue(r.ReturnValue, pickle.Limits{})
	return v, wrap(err, "decode return value of result %s", r.ID)
}

// Results returns the recorded outcomes of a job, newest first; none when there is no stream. An entry that can't
// be read has Err set and does not hide the others.
func (c *Client) Results(ctx context.Context, id string) ([]Result, error) {
	entries, err := c.rdb.XRevRange(ctx, ResultsKey(id), "+", "-").Result()
	if err != nil {
		return nil, fmt.Errorf("read results of job %q: %w", clip(id), err)
	}
	results := make([]Result, len(entries))
	for i, e := range entries {
		results[i] = parseResult(e)
	}
	return results, nil
}

func parseResult(e redis.XMessage) Result {
	text := func(name string) string { s, _ := e.Values[name].(string); return s }
	var errs []error
	// The value of a field may be the job's own data, which is not for errors.
	bad := func(name, value, want string) {
		errs = append(errs, &FieldError{Field: "results." + name, Value: value, Want: want})
	}
	r := Result{ID: e.ID, CreatedAt: streamTime(e.ID), WorkerName: text("worker_name")}
	kind, err := strconv.Atoi(text("type"))
	if err != nil || kind < int(ResultSuccessful) || kind > int(ResultMaxRetries) {
		bad("type", clip(text("type")), "a result type from 1 to 5")
	}
	r.Type = ResultType(kind)
	if r.ExcString, err = DecodeExc(text("exc_string")); err != nil {
		bad("exc_string", "", "base64 of zlib of text")
	}
	if _, ok := e.Values["return_value"]; ok {
		if r.ReturnValue, err = base64.StdEncoding.DecodeString(text("return_value")); err != nil || len(r.ReturnValue) == 0 {
			r.ReturnValue = nil
			bad("return_value", "", "base64 of a serialized value")
		}
	}
	r.Err = errors.Join(errs...)
	return r
}

// streamTime is the millisecond part of a stream id.
func streamTime(id string) time.Time {
	ms, _, _ := strings.Cut(id, "-")
	n, err := strconv.ParseInt(ms, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(n).UTC()
}

// EncodeResult returns the return_value field for a value of a job with that serializer: base64 of what it writes, or ""
// for nil, which RQ leaves out.
func EncodeResult(v any, s Serializer) (string, error) {
	if v == nil {
		return "", nil
	}
	b, err := s.encode(v)
	return base64.StdEncoding.EncodeToString(b), wrap(err, "encode result")
}

// DecodeResult reads a return_value field written with the pickle or JSON serializer; "" is None.
func DecodeResult(s string) (any, error) {
	if s == "" {
		return nil, nil
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("decode result: %w", err)
	}
	v, _, _, err := decodeValue(b, pickle.Limits{})
	return v, wrap(err, "decode result")
}

// EncodeExc returns the exc_string field for a traceback text: base64 of zlib of its UTF-8.
func EncodeExc(text string) string {
	return base64.StdEncoding.EncodeToString(deflate([]byte(strings.ToValidUTF8(text, "\ufffd"))))
}

// DecodeExc reads an exc_string field; "" is the empty text. One above DefaultPayloadLimit is refused.
func DecodeExc(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return "", fmt.Errorf("decode exception text: %w", err)
	}
	in := inflaters.Get().(*inflater)
	defer in.release()
	text, err := in.inflate(b, DefaultPayloadLimit, time.Time{})
	return strings.ToValidUTF8(string(text), "\ufffd"), wrap(err, "decode exception text")
}
