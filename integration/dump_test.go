package integration

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// dump is everything under rq:* of a Redis as text, one line per field, member or TTL, with what differs from run to
// run replaced by words: "rq:job:a status" is "finished", "rq:finished:q a" is "now+500".
type dump map[string]string

type dumper struct {
	t       *testing.T
	rdb     *redis.Client
	now     int64
	workers []string
	lines   dump
}

func dumpOf(t *testing.T, rdb *redis.Client) dump {
	t.Helper()
	d := &dumper{t: t, rdb: rdb, now: time.Now().Unix(), lines: dump{}}
	keys := slices.DeleteFunc(rdb.Keys(t.Context(), "rq:*").Val(), notRQs)
	slices.Sort(keys)
	for _, key := range keys {
		if name, ok := strings.CutPrefix(key, "rq:worker:"); ok {
			d.workers = append(d.workers, name)
		}
	}
	for _, key := range keys {
		d.key(key)
	}
	return d.lines
}

// notRQs recognizes the keys that the bridge has for itself, which RQ's readers never look for: what its processes tell
// about themselves, and when retries are due.
func notRQs(key string) bool {
	return strings.HasPrefix(key, rqcompat.ProcessesKey()) || strings.HasPrefix(key, rqcompat.ProcessKey("")) || strings.HasPrefix(key, "rq:bridge:")
}

func (d *dumper) put(key, field, value string) {
	path := d.words(key)
	if field != "" {
		path += " " + d.words(field)
	}
	d.lines[path] = d.words(value)
}

func (d *dumper) key(key string) {
	ctx := d.t.Context()
	if ttl := d.rdb.TTL(ctx, key).Val(); ttl > 0 {
		d.put(key, "TTL", d.rounded(ttl.Seconds()))
	}
	switch kind := d.rdb.Type(ctx, key).Val(); kind {
	case "string":
		d.put(key, "", d.rdb.Get(ctx, key).Val())
	case "list":
		d.put(key, "", fmt.Sprint(d.rdb.LRange(ctx, key, 0, -1).Val()))
	case "set":
		members := d.rdb.SMembers(ctx, key).Val()
		slices.Sort(members)
		d.put(key, "", fmt.Sprint(members))
	case "zset":
		for _, z := range d.rdb.ZRangeWithScores(ctx, key, 0, -1).Val() {
			d.put(key, fmt.Sprint(z.Member), d.score(z.Score))
		}
	case "hash":
		for name, value := range d.rdb.HGetAll(ctx, key).Val() {
			d.put(key, name, d.field(key, name, value))
		}
	case "stream":
		for i, entry := range d.rdb.XRange(ctx, key, "-", "+").Val() {
			for name, value := range entry.Values {
				d.put(key, fmt.Sprintf("%d %s", i, name), d.field(key, name, fmt.Sprint(value)))
			}
		}
	default:
		d.t.Errorf("%s is a %s", key, kind)
	}
}

// step is the grain of times: coarser than a run takes, finer than any difference that matters.
const step = 20

func (d *dumper) rounded(seconds float64) string {
	return strconv.FormatFloat(math.Ceil(seconds/step)*step+0, 'f', 0, 64)
}

func (d *dumper) score(score float64) string {
	if math.IsInf(score, 0) || score < 1e6 {
		return fmt.Sprint(score)
	}
	return "now+" + d.rounded(score-float64(d.now))
}

var (
	timestamp   = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$`)
	executionID = regexp.MustCompile(`\b[0-9a-f]{32}\b`)
	seconds20   = regexp.MustCompile(`^\d{10}(\.\d{1,6})?$`)
	moment      = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}(\+00:00)?`)
	duration    = regexp.MustCompile(`^\d{1,3}(\.\d+)?(e-\d+)?$`)
)

// words replaces names that are new in every run.
func (d *dumper) words(text string) string {
	for _, name := range d.workers {
		text = strings.ReplaceAll(text, name, "<worker>")
	}
	return executionID.ReplaceAllString(text, "<execution>")
}

// field brings one value of a hash or a result into a form in which it can be compared.
func (d *dumper) field(key, name, value string) string {
	switch {
	case timestamp.MatchString(value):
		return "<time>"
	case name == "data" && strings.HasPrefix(key, "rq:job:"):
		return d.call(value)
	case name == "meta" || name == "result":
		return d.plain([]byte(value))
	case name == "exc_info":
		text, err := rqcompat.DecodeExc(base64.StdEncoding.EncodeToString([]byte(value)))
		return fmt.Sprintf("%q %v", text, err)
	case name == "exc_string":
		text, err := rqcompat.DecodeExc(value)
		if err != nil {
			d.t.Errorf("%s %s: %v", key, name, err)
		}
		return shortened(text)
	case name == "return_value":
		v, err := rqcompat.DecodeResult(value)
		if err != nil {
			d.t.Errorf("%s %s: %v", key, name, err)
		}
		b, _ := pickle.JSON(v)
		return string(b)
	case name == "total_working_time" || name == "current_job_working_time":
		if duration.MatchString(value) {
			return "<seconds>"
		}
	case strings.HasSuffix(name, "_at") || name == "last_heartbeat":
		if seconds20.MatchString(value) {
			return "<float>"
		}
	case name == "pid":
		if n, err := strconv.Atoi(value); err == nil && n > 0 {
			return "<pid>"
		}
	}
	return value
}

func (d *dumper) call(data string) string {
	job := rqcompat.Job{Data: []byte(data)}
	payload, err := job.Payload(1 << 20)
	if err != nil {
		d.t.Errorf("data: %v", err)
	}
	return d.plain(payload)
}

func (d *dumper) plain(b []byte) string {
	v, err := pickle.Decode(b)
	if err != nil {
		return fmt.Sprintf("%q", b)
	}
	text, _ := pickle.JSON(v)
	return string(text)
}

// shortened keeps the first and the last line of a traceback.
func shortened(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if len(lines) == 1 {
		return fmt.Sprintf("%q", moment.ReplaceAllString(text, "<time>"))
	}
	return lines[0] + " … " + lines[len(lines)-1]
}

// difference is a line that two dumps don't agree on; "" on one side means that it isn't there.
type difference struct{ path, python, golang string }

func (d difference) String() string {
	return fmt.Sprintf("%s: Python %s, Go %s", d.path, cmp.Or(d.python, "-"), cmp.Or(d.golang, "-"))
}

func differences(python, golang dump) (ds []difference) {
	all := maps.Clone(python)
	maps.Copy(all, golang)
	for _, path := range slices.Sorted(maps.Keys(all)) {
		p, inPython := python[path]
		g, inGo := golang[path]
		if p != g || inPython != inGo {
			ds = append(ds, difference{path, mark(p, inPython), mark(g, inGo)})
		}
	}
	return ds
}

// mark tells an empty value from none.
func mark(value string, there bool) string {
	if there && value == "" {
		return `""`
	}
	return value
}
