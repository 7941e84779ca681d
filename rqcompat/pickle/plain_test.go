package pickle

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func object(class string, args ...any) *Object {
	module, name := class[:strings.LastIndex(class, ".")], class[strings.LastIndex(class, ".")+1:]
	return &Object{How: Reduce, Callable: global(module, name), Args: &Tuple{args}}
}

func delta(days, seconds, micro int64) *Object {
	return object("datetime.timedelta", days, seconds, micro)
}

func withPairs(o *Object, pairs ...Pair) *Object {
	o.Pairs = pairs
	return o
}

func withState(o *Object, state any) *Object {
	o.HasState, o.State = true, state
	return o
}

func TestJSON(t *testing.T) {
	looped := &List{[]any{"x"}}
	looped.Items = append(looped.Items, &Dict{[]Pair{{"back", looped}}})
	me := withPairs(object("frappe._dict"), Pair{"a", int64(1)})
	me.HasState, me.State = true, me
	const noon = Bytes("\x07\xe8\x01\x02\x0c\x00\x00\x00\x00\x00")
	tests := []struct {
		name  string
		v     any
		want  string
		lossy []string
	}{
		{"plain", &List{[]any{nil, true, int64(-1), 1.5, 2.0, 1e300, "ä\n\"\\\x01"}}, `[null,true,-1,1.5,2.0,1e+300,"ä\n\"\\\u0001"]`, nil},
		{"tuple", &Tuple{}, `[]`, nil},
		{"order", &Dict{[]Pair{{"z", int64(1)}, {"a", int64(2)}}}, `{"z":1,"a":2}`, nil},
		{"big", bigInt("100000000000000000000"), `100000000000000000000`, nil},
		{"no numbers", &List{[]any{math.NaN(), math.Inf(1), math.Inf(-1)}}, `["nan","inf","-inf"]`,
			[]string{"$[0]: float nan written as text", "$[1]: float inf written as text", "$[2]: float -inf written as text"}},
		{"surrogate", "a\xed\xa0\x80b", `"a` + "\ufffd" + `b"`, []string{"$: lone surrogates replaced"}},
		{"bytes", &List{[]any{Bytes("text"), &ByteArray{[]byte{0xff}}}}, `["text","/w=="]`,
			[]string{"$[0]: bytes written as text", "$[1]: bytearray written as base64"}},
		{"set", &Dict{[]Pair{{"s", &Set{[]any{int64(1)}}}}}, `{"s":[1]}`, []string{"$.s: set written as a list"}},
		{"function", global("a.b", "C.d"), `"a.b.C.d"`, []string{"$: function or class written as its name"}},
		{"keys", &Dict{[]Pair{{int64(1), "a"}, {nil, "b"}, {"1", "c"}, {true, "d"}, {&Tuple{[]any{"x", int64(2)}}, "e"}, {Bytes("1"), "f"}}},
			`{"1 (2)":"a","null":"b","1":"c","true":"d","[\"x\",2]":"e","1 (3)":"f"}`,
			[]string{"$.{key}: key written as text", "$.{key}: key written as text", "$.{key}: key written as text",
				"$.{key}: key written as text", "$.{key}: bytes written as text"}},
		{"cycle", looped, `["x",{"back":"<cycle to $>"}]`, []string{"$[1].back: cycle"}},
		{"cycle further down", &Dict{[]Pair{{"l", looped}}}, `{"l":["x",{"back":"<cycle to $.l>"}]}`, []string{"$.l[1].back: cycle"}},
		{"_dict", me, `{"a":1}`, nil},
		{"_dict of 16", withPairs(object("frappe.types.frappedict._dict"), Pair{"a", int64(1)}), `{"a":1}`, nil},
		{"OrderedDict with attributes", withState(withPairs(object("collections.OrderedDict"), Pair{"a", nil}), &Dict{[]Pair{{"x", nil}}}),
			`{"a":null}`, []string{"$: attributes of a dict dropped"}},
		{"defaultdict", withPairs(object("collections.defaultdict", global("builtins", "list")), Pair{"a", nil}), `{"a":null}`,
			[]string{"$: arguments of collections.defaultdict dropped"}},
		{"date", object("datetime.date", Bytes("\x07\xe8\x02\x1d")), `"2024-02-29"`, []string{"$: datetime.date written as text"}},
		{"datetime", object("datetime.datetime", Bytes("\x07\xe8\x8c\x1f\x17\x3b\x3b\x0f\x42\x3f")), `"2024-12-31 23:59:59.999999"`,
			[]string{"$: datetime.datetime written as text"}},
		{"datetime with an offset", object("datetime.datetime", noon, object("datetime.timezone", delta(-1, 86400-3600*3-5, 0), "Here")),
			`"2024-01-02 12:00:00-03:00:05"`, []string{"$: datetime.datetime written as text"}},
		{"datetime with a zone", object("datetime.datetime", noon, object("zoneinfo.ZoneInfo._unpickle", "Europe/Berlin", int64(1))),
			`"2024-01-02 12:00:00[Europe/Berlin]"`, []string{"$: datetime.datetime written as text"}},
		{"datetime of pytz", object("datetime.datetime", noon, object("pytz._p", "Asia/Kolkata", int64(19800), int64(0), "IST")),
			`"2024-01-02 12:00:00+05:30"`, []string{"$: datetime.datetime written as text"}},
		{"time", object("datetime.time", Bytes("\x82\x1e\x00\x00\x00\x01")), `"02:30:00.000001"`, []string{"$: datetime.time written as text"}},
		{"timedelta", delta(-1, 3600, 5), `"-1 day, 1:00:00.000005"`, []string{"$: datetime.timedelta written as text"}},
		{"datetime with a state that isn't one", object("datetime.datetime", Bytes("\x07\xe8\xff")),
			`{"__class__":"datetime.datetime","__args__":["B+j/"]}`,
			[]string{"$: object of datetime.datetime", "$.__args__[0]: bytes written as base64"}},
		{"Decimal", object("decimal.Decimal", "1.50"), `"1.50"`, []string{"$: decimal.Decimal written as text"}},
		{"UUID", withState(object("uuid.UUID"), &Dict{[]Pair{{"int", int64(5)}}}), `"00000000-0000-0000-0000-000000000005"`,
			[]string{"$: uuid.UUID written as text"}},
		{"UUID that isn't one", withState(object("uuid.UUID"), &Dict{[]Pair{{"int", int64(-5)}}}), `{"__class__":"uuid.UUID","int":-5}`,
			[]string{"$: object of uuid.UUID"}},
		{"floats", &List{[]any{1e15, 1e16, 9.9e-5, 1e-4}}, `[1000000000000000.0,1e+16,9.9e-05,0.0001]`, nil},
		{"document", withState(object("frappe.User"), &Dict{[]Pair{{"doctype", "User"}, {"__class__", "mine"}}}),
			`{"__class__":"frappe.User","doctype":"User","__class__ (2)":"mine"}`, []string{"$: object of frappe.User"}},
		{"everything an object can have", &Object{
			How: NewObjEx, Callable: global("m", "C"), Args: &Tuple{[]any{int64(1)}}, Kwargs: &Dict{[]Pair{{"k", int64(2)}}},
			HasState: true, State: int64(3), Items: []any{int64(4)}, Pairs: []Pair{{"e", int64(5)}},
		}, `{"__class__":"m.C","__args__":[1],"__kwargs__":{"k":2},"__items__":[4],"__entries__":{"e":5},"__state__":3}`,
			[]string{"$: object of m.C"}},
		{"object of protocol 0", withState(object("copyreg._reconstructor", global("m", "C"), global("builtins", "object"), nil),
			&Dict{[]Pair{{"a", int64(1)}}}), `{"__class__":"m.C","a":1}`, []string{"$: object of m.C"}},
		{"_dict of protocol 0", object("copyreg._reconstructor", global("frappe", "_dict"), global("builtins", "dict"),
			&Dict{[]Pair{{"a", int64(1)}}}), `{"a":1}`, nil},
		{"Go values", map[string]any{"b": []any{1, uint64(math.MaxUint64)}, "a": []string{"x"}, "c": struct{}{}},
			`{"a":["x"],"b":[1,18446744073709551615],"c":"<struct {}>"}`, []string{"$.c: Go type without a plain form"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, lossy := JSON(tt.v)
			if string(got) != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
			if d := cmp.Diff(tt.lossy, lossy); d != "" {
				t.Errorf("lossy (-want +got):\n%s", d)
			}
			if !json.Valid(got) {
				t.Error("not JSON")
			}
		})
	}
}

func TestPlain(t *testing.T) {
	v := &Dict{[]Pair{
		{"list", &Tuple{[]any{int64(1), 2.5, nil}}},
		{"big", bigInt("100000000000000000000")},
		{"doc", withPairs(object("frappe._dict"), Pair{"name", "x"})},
	}}
	want := map[string]any{
		"list": []any{int64(1), 2.5, nil},
		"big":  json.Number("100000000000000000000"),
		"doc":  map[string]any{"name": "x"},
	}
	got, lossy := Plain(v)
	if d := cmp.Diff(want, got); d != "" || lossy != nil {
		t.Errorf("lossy %q (-want +got):\n%s", lossy, d)
	}
}

// TestPlainIsFinite: shared values and depth are cut with a mark.
func TestPlainIsFinite(t *testing.T) {
	var wide any = "bottom"
	for range 100 {
		wide = &List{[]any{wide, wide}}
	}
	text, lossy := JSON(wide)
	if !strings.Contains(string(text), `"<truncated>"`) || len(lossy) != 1 || !strings.HasSuffix(lossy[0], ": truncated, the rest is too large to write out") {
		t.Errorf("wide: %d bytes, lossy %q", len(text), lossy)
	}
	var deep any
	for range 5000 {
		deep = &List{[]any{deep}}
	}
	text, lossy = JSON(deep)
	if !strings.Contains(string(text), `"<too deep>"`) || len(lossy) != 1 {
		t.Errorf("deep: %d bytes, lossy %q", len(text), lossy)
	}
	many := &List{}
	for range 1000 {
		many.Items = append(many.Items, Bytes("x"))
	}
	if _, lossy = JSON(many); len(lossy) != 101 || lossy[100] != "and 900 more" {
		t.Errorf("many: %d entries of lossy", len(lossy))
	}
}
