package rqcompat

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

const (
	// argumentText is the most code points of one argument in a description. rq/job.py Job.get_call_string.
	argumentText = 75
	// mostArguments is how many arguments, and how many keywords, a description has. RQ knows no such limit.
	mostArguments = 1000
)

// Description is the text RQ gives a job that has none: func(arg, key=value), each value as Python's repr, cut at
// 75 characters, keywords sorted, of at most 1,000 arguments and as many keywords. It holds argument values, so it belongs into the job hash and not into logs.
// rq/utils.py get_call_string. Values whose repr needs their class (enums, documents) are shown as <module.Class>.
func (c Call) Description() string {
	args := c.Args[:min(len(c.Args), mostArguments)]
	parts := make([]string, 0, len(args)+8)
	for _, a := range args {
		parts = append(parts, pickle.Repr(a, argumentText))
	}
	if c.Kwargs != nil {
		for _, p := range c.Kwargs.Items[:min(len(c.Kwargs.Items), mostArguments)] {
			key, ok := p.Key.(string)
			if !ok {
				key = pickle.Repr(p.Key, argumentText)
			}
			parts = append(parts, key+"="+pickle.Repr(p.Value, argumentText))
		}
		slices.Sort(parts[len(args):])
	}
	return strings.ToValidUTF8(c.Func+"("+strings.Join(parts, ", ")+")", string(utf8.RuneError))
}
