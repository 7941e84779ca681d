package benchconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// decode sets a key's value. null leaves the default.
func decode(text json.RawMessage, into any) error {
	number, isWhole := into.(whole)
	switch {
	case into == elsewhere{}, string(text) == "null":
		return nil
	case isWhole:
		into = number.into
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return mistyped(err, text)
	}
	if isWhole && *number.into == 0 {
		return fmt.Errorf("0 where %s is wanted", number.want)
	}
	return nil
}

// wanted names the types of values other than objects.
var wanted = map[reflect.Kind]string{
	reflect.Int: "a whole number", reflect.Float64: "a number", reflect.Bool: "true or false",
	reflect.String: "a string", reflect.Slice: "a list",
}

// mistyped says in the words of configuration files that a value is of another type than its key. Nothing is shown that
// stands inside a list or an object, or in the place of one: it may be a credential.
func mistyped(err error, text json.RawMessage) error {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return err
	}
	want, shown := wanted[wrong.Type.Kind()]
	if !shown {
		want = "an object"
	}
	kind, _, _ := strings.Cut(wrong.Value, " ") // "number 12.5" shows the number
	switch {
	case wrong.Field != "":
		return fmt.Errorf("%s at %q where %s is wanted", kind, wrong.Field, want)
	case !shown || bytes.ContainsAny(text, "{["):
		return fmt.Errorf("%s where %s is wanted", kind, want)
	}
	return fmt.Errorf("%.60s where %s is wanted", text, want)
}

// seconds is a duration above zero, written as a number of seconds or as Go writes durations.
type seconds time.Duration

func (s *seconds) UnmarshalJSON(b []byte) (err error) {
	*s, err = duration[seconds](b, 1, "a duration above zero")
	return err
}

// limit is a duration, or zero for none.
type limit time.Duration

func (l *limit) UnmarshalJSON(b []byte) (err error) {
	*l, err = duration[limit](b, 0, "a duration")
	return err
}

// duration reads one of at least least.
func duration[D ~int64](b []byte, least D, want string) (D, error) {
	text := strings.Trim(string(b), `"`)
	d, err := time.ParseDuration(text)
	if err != nil {
		var n float64
		if n, err = strconv.ParseFloat(text, 64); !(n <= 1e9) { // NaN too
			err = strconv.ErrRange
		}
		d = time.Duration(n * float64(time.Second))
	}
	if err == nil && D(d) >= least {
		return D(d), nil
	}
	if bytes.ContainsAny(b, "{[") {
		b = []byte("a list or an object")
	}
	return 0, fmt.Errorf(`%.60s is not %s: write seconds (30) or a string ("30s", "2m")`, b, want)
}
