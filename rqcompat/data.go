package rqcompat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"

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
const DefaultPayloadLimit = 32 << 20

// Payload returns the serialized call in memory of its own: data inflated or, when it is not a zlib stream, as it is,
// because RQ accepts uncompressed payloads. More than limit (0: DefaultPayloadLimit) bytes give a *pickle.LimitError.
func (j *Job) Payload(limit int) ([]byte, error) {
	in := inflaters.Get().(*inflater)
	defer in.release()
	b, _, err := payload(in, j.Data, limit)
	return bytes.Clone(b), err
}

// payload is valid until in is released. notZlib is why data was taken as it is.
func payload(in *inflater, data []byte, limit int) (b []byte, notZlib, err error) {
	if limit <= 0 {
		limit = DefaultPayloadLimit
	}
	b, err = in.inflate(data, limit)
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

// Call decodes the payload of RQ's default (pickle) and JSON serializers. Nothing in it is imported or run. Errors
// are *pickle.SyntaxError, *pickle.LimitError or ErrBadCall, wrapped; none carries argument values.
func (j *Job) Call() (*Call, error) {
	call, err := j.call()
	return call, wrap(err, "decode call")
}

func (j *Job) call() (*Call, error) {
	if len(j.Data) == 0 {
		return nil, ErrNoData
	}
	in := inflaters.Get().(*inflater)
	defer in.release()
	b, notZlib, err := payload(in, j.Data, 0)
	if err != nil {
		return nil, err
	}
	v, serializer, err := decodeValue(b)
	if err != nil && notZlib != nil {
		return nil, fmt.Errorf("data is no zlib stream (%v) and no plain payload: %w", notZlib, err)
	}
	if err != nil {
		return nil, err
	}
	call, err := toCall(v)
	if call != nil {
		call.Serializer = serializer
	}
	return call, err
}

func toCall(v any) (*Call, error) {
	items, ok := sequence(v)
	if !ok || len(items) != 4 {
		return nil, fmt.Errorf("%w: want a tuple of function name, instance, arguments and keyword arguments", ErrBadCall)
	}
	call := &Call{Instance: items[1]}
	if call.Func, ok = pickle.Base(items[0]).(string); !ok {
		return nil, fmt.Errorf("%w: its function name is not text", ErrBadCall)
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

// decodeValue reads a value of RQ's pickle or JSON serializer. Nothing in Redis says which one wrote it: pickles
// since protocol 2 start with a byte that JSON can't, older ones end with a dot, which JSON can't either.
func decodeValue(b []byte) (any, Serializer, error) {
	if len(b) > 0 && b[0] != 0x80 {
		if text := withPythonFloats(b); json.Valid(text) {
			dec := json.NewDecoder(bytes.NewReader(text))
			dec.UseNumber()
			return jsonValue(dec), JSONSerializer, nil
		}
	}
	v, err := pickle.Decode(b)
	return v, PickleSerializer, err
}

// Python's JSON has floats that JSON lacks. They stand as numbers that nobody writes and that read as these floats.
var pythonFloats = []struct {
	name, number string
	value        float64
}{
	{"NaN", "0e-1000000007", math.NaN()}, {"-Infinity", "-1e1000000007", math.Inf(-1)}, {"Infinity", "1e1000000007", math.Inf(1)},
}

// withPythonFloats makes JSON of what Python's json.dumps wrote.
func withPythonFloats(b []byte) []byte {
	if !bytes.Contains(b, []byte("NaN")) && !bytes.Contains(b, []byte("Infinity")) {
		return b
	}
	var out []byte
	inText := false
next:
	for i := 0; i < len(b); i++ {
		switch {
		case inText && b[i] == '\\' && i+1 < len(b):
			out = append(out, b[i])
			i++
		case b[i] == '"':
			inText = !inText
		case !inText:
			for _, f := range pythonFloats {
				if bytes.HasPrefix(b[i:], []byte(f.name)) {
					out = append(out, f.number...)
					i += len(f.name) - 1
					continue next
				}
			}
		}
		out = append(out, b[i])
	}
	return out
}

// jsonValue reads valid JSON, which gives a decoder no errors, into the types pickle.Decode uses, dicts in order.
func jsonValue(dec *json.Decoder) any {
	t, _ := dec.Token()
	switch t := t.(type) {
	case json.Delim:
		defer dec.Token() // its end
		if t == '{' {
			return jsonDict(dec)
		}
		list := &pickle.List{}
		for dec.More() {
			list.Items = append(list.Items, jsonValue(dec))
		}
		return list
	case json.Number:
		return jsonNumber(string(t))
	}
	return t
}

func jsonDict(dec *json.Decoder) *pickle.Dict {
	dict := &pickle.Dict{}
	at := map[any]int{}
	for dec.More() {
		key, _ := dec.Token()
		i, ok := at[key]
		if !ok {
			i = len(dict.Items)
			at[key] = i
			dict.Items = append(dict.Items, pickle.Pair{Key: key})
		}
		dict.Items[i].Value = jsonValue(dec)
	}
	return dict
}

// jsonNumber follows Python: without point and exponent it is an int of any size.
func jsonNumber(s string) any {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n
	}
	for _, f := range pythonFloats {
		if s == f.number {
			return f.value
		}
	}
	if n, ok := new(big.Int).SetString(s, 10); ok {
		return n
	}
	f, _ := strconv.ParseFloat(s, 64) // out of range gives the infinity that Python reads, too
	return f
}
