package rqcompat

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// ParseJob reads the fields of rq:job:<id>. It always returns a job with everything that could be read. The error joins
// a *FieldError per unreadable field, in field order, and ErrNoData when there is no call; such fields are kept in
// Extra, and Hash gives them back unchanged. It accepts what rq/job.py Job.restore accepts, 1.15.1–2.10.
func ParseJob(id string, hash map[string]string) (*Job, error) {
	p := parser{job: &Job{ID: id}}
	for field, value := range hash {
		p.field(field, value)
	}
	if first := hash["dependency_id"]; first != "" {
		_, unread := p.job.Extra["dependency_ids"]
		switch {
		case unread:
			p.keep("dependency_id", first)
		case hash["dependency_ids"] == "": // only then does the legacy mirror count
			p.job.DependencyIDs = []string{first}
		}
	}
	if _, ok := hash["data"]; !ok {
		p.errs = append(p.errs, ErrNoData)
	}
	// In a stable order: a map has none.
	slices.SortFunc(p.errs, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return p.job, errors.Join(p.errs...)
}

type parser struct {
	job  *Job
	errs []error
}

func (p *parser) field(name, value string) {
	f := jobFieldByName[name]
	if f == nil {
		if name != "dependency_id" { // read by ParseJob, which knows whether dependency_ids is there
			p.keep(name, value)
		}
		return
	}
	if value == "" && !f.strict {
		return
	}
	want := f.read(p.job, value)
	if want == "" {
		return
	}
	p.errs = append(p.errs, &FieldError{Field: name, Value: clip(value), Want: want})
	if name != "status" { // kept as it is: the one who looks at the job wants to see it
		p.keep(name, value)
	}
}

func (p *parser) keep(name, value string) {
	if p.job.Extra == nil {
		p.job.Extra = map[string]string{}
	}
	p.job.Extra[name] = value
}

// read sets the field, or says what RQ wants instead of value.
func (f *jobField) read(j *Job, value string) (want string) {
	var err error
	switch to := f.at(j).(type) {
	case *[]byte:
		*to = []byte(value)
	case *string:
		if !utf8.ValidString(value) {
			return "UTF-8 text"
		}
		*to = value
	case *Status:
		if *to = Status(value); !slices.Contains(statuses, *to) {
			return "a status of RQ 1.15 to 2.10"
		}
	case *time.Time:
		want = "a UTC timestamp like 2026-01-02T03:04:05.000006Z"
		*to, err = ParseTime(value)
	case **int64:
		want = "a whole number"
		var n int64
		if n, err = wholeNumber(value); err == nil {
			*to = &n
		}
	case **bool:
		want = "1 or 0"
		var n int64
		if n, err = wholeNumber(value); err == nil {
			*to = new(n != 0) // bool(int(value))
		}
	case *[]int64:
		want = "a JSON list of whole numbers, of at most 1 MiB"
		*to, err = jsonArray[int64](value)
	case *[]string:
		want = "a JSON list of job ids, of at most 1 MiB"
		if *to, err = jsonArray[string](value); len(*to) == 0 {
			*to = nil // RQ writes no empty list
		}
	}
	if err == nil {
		return ""
	}
	return want
}

// maxNumber is how many bytes a number may have, maxList a list: what is longer costs more than it could tell.
const (
	maxNumber = 64
	maxList   = 1 << 20
)

func wholeNumber(value string) (int64, error) {
	if len(value) > maxNumber {
		return 0, strconv.ErrRange
	}
	return strconv.ParseInt(strings.TrimSpace(value), 10, 64)
}

// jsonArray reads all of a list or nothing: half a list is worse than none.
func jsonArray[T any](value string) (list []T, err error) {
	if len(value) > maxList {
		return nil, errors.New("too long")
	}
	if err := json.Unmarshal([]byte(value), &list); err != nil {
		return nil, err
	}
	return list, nil
}
