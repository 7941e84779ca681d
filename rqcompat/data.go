package rqcompat

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"

	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// Call is what a job runs: a dotted function name, an instance for bound methods (nil otherwise), positional and
// keyword arguments. It is the 4-tuple of rq/job.py Job.data, 1.15.1–2.10.
type Call struct {
	Func     string
	Instance any
	Args     []any
	Kwargs   *pickle.Dict // nil means none
	// Serializer is how the call is written, and with it the job's meta and result.
	Serializer Serializer
	// Memory is the estimated bytes that a decoded call takes with its arguments.
	Memory int
}

// Serializer is how a queue's jobs are written: all its producers and workers have to agree. rq/serializers.py.
type Serializer int

// The serializers that come with RQ. The class of a user's own can't be known.
const (
	PickleSerializer Serializer = iota // RQ's default
	JSONSerializer
)

func (s Serializer) encode(v any) ([]byte, error) {
	if s == JSONSerializer {
		return pickle.PythonJSON(v)
	}
	return pickle.Encode(v)
}

// DefaultPayloadLimit is the inflated size of data that Payload(0) and Call accept, in bytes.
const DefaultPayloadLimit = 24 << 20

// Payload returns the serialized call in memory of its own: data inflated or, when it is not a zlib stream, as it is,
// because RQ accepts uncompressed payloads. More than limit (0: DefaultPayloadLimit) bytes give a *pickle.LimitError.
func (j *Job) Payload(limit int) ([]byte, error) {
	in := inflaters.Get().(*inflater)
	defer in.release()
	b, _, err := in.payload(j.Data, pickle.Limits{Input: limit})
	return bytes.Clone(b), err
}

// payload is valid until in is released. notZlib is why data was taken as it is.
func (in *inflater) payload(data []byte, l pickle.Limits) (b []byte, notZlib, err error) {
	limit := cmp.Or(max(0, l.Input), DefaultPayloadLimit)
	b, err = in.inflate(data, limit, l.Deadline)
	if err == nil {
		return b, nil, nil
	}
	if _, tooLarge := errors.AsType[*pickle.LimitError](err); tooLarge {
		return nil, nil, fmt.Errorf("inflate data: %w", err)
	}
	if len(data) > limit {
		return nil, nil, fmt.Errorf("read data: %w", &pickle.LimitError{Limit: "bytes", Max: limit})
	}
	return data, err, nil
}

// Call decodes the payload of RQ's default (pickle) and JSON serializers within the default limits of package pickle.
// Nothing in it is imported or run. Errors are *pickle.SyntaxError, *pickle.LimitError or ErrBadCall, wrapped; none
// carries argument values.
func (j *Job) Call() (*Call, error) { return j.CallWithin(pickle.Limits{}) }

// CallWithin is Call within these limits, of which inflating takes its part.
func (j *Job) CallWithin(l pickle.Limits) (*Call, error) {
	call, err := j.call(l)
	return call, wrap(err, "decode call")
}

func (j *Job) call(l pickle.Limits) (*Call, error) {
	if len(j.Data) == 0 {
		return nil, ErrNoData
	}
	in := inflaters.Get().(*inflater)
	defer in.release()
	b, notZlib, err := in.payload(j.Data, l)
	if err != nil {
		return nil, err
	}
	if notZlib == nil {
		l = l.After(pickle.Cost{Work: len(b) * inflateWork})
	}
	v, serializer, cost, err := decodeValue(b, l)
	if err != nil && notZlib != nil {
		return nil, fmt.Errorf("data is no zlib stream (%v) and no plain payload: %w", notZlib, err)
	}
	if err != nil {
		return nil, err
	}
	call, err := toCall(v)
	if call != nil {
		call.Serializer, call.Memory = serializer, cost.Memory
	}
	return call, err
}

// maxFunc is how long a function name may be, in bytes: many copies are made of it, and no module has a longer one.
const maxFunc = 1024

func toCall(v any) (*Call, error) {
	items, ok := sequence(v)
	if !ok || len(items) != 4 {
		return nil, fmt.Errorf("%w: want a tuple of function name, instance, arguments and keyword arguments", ErrBadCall)
	}
	call := &Call{Instance: items[1]}
	if call.Func, ok = pickle.Base(items[0]).(string); !ok {
		return nil, fmt.Errorf("%w: its function name is not text", ErrBadCall)
	}
	if len(call.Func) > maxFunc {
		return nil, fmt.Errorf("%w: its function name has more than %d bytes", ErrBadCall, maxFunc)
	}
	if call.Args, ok = sequence(items[2]); !ok {
		return nil, fmt.Errorf("%w: its arguments are neither tuple nor list", ErrBadCall)
	}
	if call.Kwargs, ok = pickle.Keywords(items[3]); !ok {
		return nil, fmt.Errorf("%w: its keyword arguments are not a dict", ErrBadCall)
	}
	return call, nil
}

func sequence(v any) ([]any, bool) {
	switch v := pickle.Base(v).(type) {
	case *pickle.Tuple:
		return v.Items, true
	case *pickle.List:
		return v.Items, true
	}
	return nil, false
}

// EncodeCall returns the data field for a call, in zlib. The arguments may be anything pickle.Encode takes, and with the
// JSON serializer pickle.PythonJSON.
func EncodeCall(c Call) ([]byte, error) {
	if c.Func == "" {
		return nil, fmt.Errorf("encode call: %w: it has no function name", ErrBadCall)
	}
	kwargs := c.Kwargs
	if kwargs == nil {
		kwargs = &pickle.Dict{}
	}
	for _, p := range kwargs.Items {
		if _, ok := p.Key.(string); !ok {
			return nil, fmt.Errorf("encode call of %s: %w: a keyword is a %T, want text", clip(c.Func), ErrBadCall, p.Key)
		}
	}
	b, err := c.Serializer.encode(&pickle.Tuple{Items: []any{c.Func, c.Instance, &pickle.Tuple{Items: c.Args}, kwargs}})
	if err != nil {
		return nil, fmt.Errorf("encode call of %s: %w", clip(c.Func), err)
	}
	return deflate(b), nil
}

// decodeValue reads a value of RQ's pickle or JSON serializer. Nothing in Redis says which one wrote it, but no pickle
// starts as JSON does.
func decodeValue(b []byte, l pickle.Limits) (any, Serializer, pickle.Cost, error) {
	if pickle.IsJSON(b) {
		v, cost, err := l.DecodeJSON(b)
		return v, JSONSerializer, cost, err
	}
	v, cost, err := l.DecodeCost(b)
	return v, PickleSerializer, cost, err
}
