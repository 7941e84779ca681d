package rqcompat

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// argumentText is the most code points of one argument in a description. rq/job.py Job.get_call_string.
const argumentText = 75

// Description is the text RQ gives a job that has none: func(arg, key=value), each value as Python's repr, cut at
// 75 characters, keywords sorted. It holds argument values, so it belongs into the job hash and not into logs.
// rq/utils.py get_call_string. Values whose repr needs their class (enums, documents) are shown as <module.Class>.
func (c Call) Description() string {
	parts := make([]string, 0, len(c.Args)+8)
	for _, a := range c.Args {
		parts = append(parts, pickle.Repr(a, argumentText))
	}
	if c.Kwargs != nil {
		for _, p := range c.Kwargs.Items {
			key, ok := p.Key.(string)
			if !ok {
				key = pickle.Repr(p.Key, argumentText)
			}
			parts = append(parts, key+"="+pickle.Repr(p.Value, argumentText))
		}
		slices.Sort(parts[len(c.Args):])
	}
	return strings.ToValidUTF8(c.Func+"("+strings.Join(parts, ", ")+")", string(utf8.RuneError))
}
