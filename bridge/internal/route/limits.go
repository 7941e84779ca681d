package route

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"

	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// limit finds out which limits those of a batch must keep within that could run. The parameter whose value counts is read
// here, once: what waits is only a note.
func (r *Router) limit(ctx context.Context, out []Routed, found []Found) {
	type asked struct{ site, path string }
	unread := map[asked][]*Routed{}
	for i := range out {
		o := &out[i]
		if o.Verdict != Ours || o.fault != nil || found[i].Whole {
			continue
		}
		t := o.JobType
		if t == nil || t.LimitKey == "" || t.LimitRunning+t.LimitRate == 0 {
			o.Limits = r.Caps.Limits(o.Queued, "")
			continue
		}
		if o.Row != nil && len(o.Row.InputParameters) == 0 && o.Row.ParametersSize > 0 {
			at := asked{o.Site, t.LimitKey}
			unread[at] = append(unread[at], o)
			continue
		}
		o.Limits = r.Caps.Limits(o.Queued, keyOf(o, t.LimitKey))
	}
	for at, some := range unread {
		r.limitUnread(ctx, at.site, at.path, some)
	}
}

// limitUnread does it for jobs whose rows have more parameters than were read.
func (r *Router) limitUnread(ctx context.Context, site, path string, some []*Routed) {
	names := make([]string, len(some))
	for i, o := range some {
		names[i] = o.Row.Name
	}
	values, err := r.Sites.Parameter(ctx, site, path, names)
	for _, o := range some {
		if err != nil {
			o.Verdict, o.Again = Unready, unreadyPause // the log has it
			continue
		}
		o.Limits = r.Caps.Limits(o.Queued, scalar(values[o.Row.Name]))
	}
}

// keyOf is the value of the parameter that a dotted path leads to, as text; "" if there is none, or it isn't one of text, a
// number, true or false.
func keyOf(o *Routed, path string) string {
	steps := strings.Split(path, ".")
	if o.Row == nil {
		return argument(o.Kwargs, steps)
	}
	value := o.Row.InputParameters
	for _, step := range steps {
		var fields map[string]json.RawMessage
		if json.Unmarshal(value, &fields) != nil {
			return ""
		}
		value = fields[step]
	}
	return scalar(value)
}

// scalar is a JSON value as text.
func scalar(value json.RawMessage) string {
	var text string
	value = bytes.TrimSpace(value)
	switch {
	case len(value) == 0 || value[0] == '{' || value[0] == '[' || string(value) == "null":
		return ""
	case value[0] != '"':
		return string(value)
	case json.Unmarshal(value, &text) != nil:
		return ""
	}
	return text
}

// argument is the value of an argument of the call, as its JSON would be.
func argument(in *pickle.Dict, steps []string) string {
	for ; in != nil; steps = steps[1:] {
		v, _ := in.Get(steps[0])
		if v = pickle.Base(v); len(steps) == 1 {
			text, _ := plainText(v)
			return text
		}
		in, _ = v.(*pickle.Dict)
	}
	return ""
}

// plainText is a value of one of the types that can be keys, as text.
func plainText(v any) (text string, ok bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool, int64, *big.Int, float64:
		return fmt.Sprint(v), true
	}
	return "", false
}

const (
	// skimDepth, skimMost and skimLength bound what is kept of large arguments: how deep, how many, how long.
	skimDepth  = 4
	skimMost   = 64
	skimLength = 140
)

// skim copies the small values of arguments, which may be keys, and nothing that keeps the others in memory. most is how
// many more may be kept.
func skim(d *pickle.Dict, depth int, most *int) *pickle.Dict {
	kept := &pickle.Dict{}
	for _, p := range d.Items {
		name, isName := p.Key.(string)
		if *most <= 0 {
			break
		}
		if !isName || len(name) > skimLength {
			continue
		}
		v := pickle.Base(p.Value)
		if inner, isDict := v.(*pickle.Dict); isDict && depth > 1 {
			if inner = skim(inner, depth-1, most); len(inner.Items) > 0 {
				kept.Items = append(kept.Items, pickle.Pair{Key: strings.Clone(name), Value: inner})
			}
			continue
		}
		if text, ok := plainText(v); ok && len(text) <= skimLength {
			*most--
			if _, isText := v.(string); isText {
				v = strings.Clone(text)
			}
			kept.Items = append(kept.Items, pickle.Pair{Key: strings.Clone(name), Value: v})
		}
	}
	return kept
}
