package rqcompat_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/opensoft/dartwing-bridge/rqcompat"
)

func TestParseDialect(t *testing.T) {
	for _, version := range []string{"1.15.1", "1.16.2", "2.0", "2.6.1", "2.10.0", "2.10.0rc1", "1.16.0.post1", " 2.6.1\n"} {
		d, err := rqcompat.ParseDialect(version)
		if err != nil || d.Version != strings.TrimSpace(version) {
			t.Errorf("%q: %+v, %v", version, d, err)
		}
	}
	for _, version := range []string{"", "2", "1.14.1", "1.17.0", "2.11.0", "2.100", "3.0.0", "0.13", "v", "x.y", "2.x", "-1.15", "99999999999999999999.1", "2.6.1\x00\xff", "2.6.1 " + strings.Repeat("9", 500)} {
		_, err := rqcompat.ParseDialect(version)
		var ue *rqcompat.UnsupportedVersionError
		if !errors.As(err, &ue) || ue.Version != version {
			t.Errorf("%q: %v, want an UnsupportedVersionError", version, err)
		}
	}
}

// TestDialectFeatures has the first and, where it ended, the last version of each difference.
func TestDialectFeatures(t *testing.T) {
	versions := []string{"1.15.1", "1.16.0", "1.16.2", "2.0", "2.1", "2.2", "2.3", "2.4", "2.5", "2.7", "2.8", "2.9", "2.10"}
	for _, test := range []struct {
		name        string
		get         func(d rqcompat.Dialect) bool
		first, last string
	}{
		{"CompositeWip", func(d rqcompat.Dialect) bool { return d.CompositeWip }, "2.0", ""},
		{"DeferredExpires", func(d rqcompat.Dialect) bool { return d.DeferredExpires }, "2.0", "2.7"},
		{"IDCharset", func(d rqcompat.Dialect) bool { return d.IDCharset }, "2.8", ""},
		{"ResultWorkerName", func(d rqcompat.Dialect) bool { return d.ResultWorkerName }, "2.5", ""},
		{"ResultExecution", func(d rqcompat.Dialect) bool { return d.ResultExecution }, "2.8", ""},
		{"Repeat", func(d rqcompat.Dialect) bool { return d.Repeat }, "2.3", ""},
		{"IntermediateGrace", func(d rqcompat.Dialect) bool { return d.IntermediateGrace }, "1.16.2", ""},
		{"SchedulerByName", func(d rqcompat.Dialect) bool { return d.SchedulerByName }, "2.10", ""},
	} {
		on := false
		for _, v := range versions {
			d, err := rqcompat.ParseDialect(v)
			if err != nil {
				t.Fatal(err)
			}
			on = on || v == test.first
			if got := test.get(d); got != on {
				t.Errorf("%s in %s: got %v, want %v", test.name, v, got, on)
			}
			on = on && v != test.last
		}
	}
}

func TestWipMembers(t *testing.T) {
	const x = "205101cfdc1241ee975823bb3cc8769f"
	one, _ := rqcompat.ParseDialect("1.16.2")
	two, _ := rqcompat.ParseDialect("2.6.1")
	for _, test := range []struct {
		d                 rqcompat.Dialect
		member, id, xwant string
	}{
		{one, "a", "a", ""},
		{one, "site::" + x, "site::" + x, ""},
		{two, "a:" + x, "a", x},
		{two, "site::abc:" + x, "site::abc", x},
		{two, "a", "a", ""},
		{two, "site::abc", "site::abc", ""},
		{two, "a:" + strings.ToUpper(x), "a:" + strings.ToUpper(x), ""},
		{two, ":" + x, "", x},
		{two, "", "", ""},
	} {
		id, x := test.d.SplitWipMember(test.member)
		if id != test.id || x != test.xwant {
			t.Errorf("%s, %q: got %q and %q", test.d.Version, test.member, id, x)
		}
		if x != "" && test.d.WipMember(id, x) != test.member {
			t.Errorf("%q is not written back", test.member)
		}
	}
}

func TestDetect(t *testing.T) {
	type worker struct{ name, version, python, death string }
	for _, test := range []struct {
		name              string
		workers           []worker
		configured, bench string
		want, source      string // version, or part of the error when source is empty
	}{
		{"configuration wins", []worker{{"w", "2.6.1", "3.11", ""}}, "1.15.1", "2.10.0", "1.15.1", "configuration"},
		{"bad configuration", nil, "7.0", "2.10.0", `"7.0" (from configuration)`, ""},
		{"live worker before bench", []worker{{"w", "2.6.1", "3.11", ""}}, "", "2.10.0", "2.6.1", "live worker w"},
		{"bridges don't count", []worker{{"w", "1.15.1", "go1.26 dartwing-bridge 0.1", ""}}, "", "2.6.1", "2.6.1", "bench"},
		{"dead workers don't count", []worker{{"w", "1.15.1", "3.11", "2026-11-23T11:44:25.000000Z"}}, "", "2.6.1", "2.6.1", "bench"},
		{"expired workers don't count", []worker{{"w", "", "", ""}}, "", "2.6.1", "2.6.1", "bench"},
		{"oldest of compatible ones", []worker{{"a", "2.10.0", "3.11", ""}, {"b", "2.6.1", "3.11", ""}, {"c", "2.7.0", "3.11", ""}}, "", "", "2.6.1", "live worker b"},
		{"incompatible ones", []worker{{"a", "1.16.2", "3.11", ""}, {"b", "2.6.1", "3.11", ""}}, "", "", "disagree", ""},
		{"unknown live version", []worker{{"a", "3.0.0", "3.11", ""}}, "", "2.6.1", "live worker a", ""},
		{"unknown bench version", nil, "", "1.10", "from bench", ""},
		{"nothing known", nil, "", "", "configuration", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPeer(t, "2.6.1")
			for _, w := range test.workers {
				p.do("SADD", "rq:workers", "rq:worker:"+w.name)
				if w.version != "" {
					p.do("HSET", "rq:worker:"+w.name, "version", w.version, "python_version", w.python)
				}
				if w.death != "" {
					p.do("HSET", "rq:worker:"+w.name, "death", w.death)
				}
			}
			d, err := rqcompat.Detect(p.ctx, p.rdb, test.configured, test.bench)
			if test.source == "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want an error with %q", err, test.want)
				}
				return
			}
			if err != nil || d.Source != test.source || d.Dialect.Version != test.want {
				t.Errorf("got %s from %s, %v; want %s from %s", d.Dialect.Version, d.Source, err, test.want, test.source)
			}
		})
	}
}

// TestDetectTakesTheStrictestIDs: an id must be good for every worker that may pop it.
func TestDetectTakesTheStrictestIDs(t *testing.T) {
	p := newPeer(t, "2.6.1")
	for name, version := range map[string]string{"a": "2.6.1", "b": "2.10.0"} {
		p.do("SADD", "rq:workers", "rq:worker:"+name)
		p.do("HSET", "rq:worker:"+name, "version", version, "python_version", "3.11")
	}
	d, err := rqcompat.Detect(p.ctx, p.rdb, "", "")
	if err != nil || d.Dialect.Version != "2.6.1" || !d.Dialect.IDCharset {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestDetectWithoutServer(t *testing.T) {
	p := newPeer(t, "2.6.1")
	_ = p.rdb.Close()
	if _, err := rqcompat.Detect(p.ctx, p.rdb, "", "2.6.1"); err == nil {
		t.Error("no error: the bench's version was taken although live workers could not be read")
	}
	if d, err := rqcompat.Detect(p.ctx, p.rdb, "2.6.1", ""); err != nil || d.Source != "configuration" {
		t.Errorf("%+v, %v", d, err)
	}
}
