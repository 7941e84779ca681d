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
	maps.Copy(h, j.Extra)
	for i := range jobFields {
		f := &jobFields[i]
		if value, set := f.write(j); set {
			h[f.name] = value
		} else if _, kept := h[f.name]; f.always && !kept {
			h[f.name] = ""
		}
	}
	if len(j.DependencyIDs) > 0 {
		h["dependency_id"] = j.DependencyIDs[0]
	}
	return h
}

// write returns the field as RQ stores it, and whether it is set.
func (f *jobField) write(j *Job) (value string, set bool) {
	switch v := f.at(j).(type) {
	case *[]byte:
		return string(*v), *v != nil
	case *string:
		return *v, *v != ""
	case *Status:
		return string(*v), *v != ""
	case *time.Time:
		return FormatTime(*v), !v.IsZero()
	case **int64:
		if *v != nil {
			return strconv.FormatInt(**v, 10), true
		}
	case **bool:
		if *v != nil {
			return bit(**v), true
		}
	case *[]int64:
		if *v != nil {
			return strings.ReplaceAll(fmt.Sprint(*v), " ", ", "), true // as Python's json.dumps
		}
	case *[]string:
		if *v != nil {
			return pythonStrings(*v), true
		}
	}
	return "", false
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
