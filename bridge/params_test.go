package bridge

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
)

// vector is the JSON of a value that CPython pickled, as a handler gets it.
func vector(t *testing.T, name string) json.RawMessage {
	t.Helper()
	file, err := os.ReadFile("../testdata/pickle/vectors.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(file))
	lines.Buffer(nil, len(file))
	for lines.Scan() {
		var v struct {
			Name    string
			Pickles [][]byte
		}
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		if v.Name != name {
			continue
		}
		value, err := pickle.Decode(v.Pickles[4])
		if err != nil {
			t.Fatal(err)
		}
		text, _ := pickle.JSON(value)
		return text
	}
	t.Fatalf("vectors.jsonl has no %q", name)
	return nil
}

// arrives decodes a vector, compares it, and wants the same JSON back.
func arrives[P any](t *testing.T, name string, want P) {
	t.Helper()
	text := vector(t, name)
	got, err := job.Params[P]("x", text, true)
	if err != nil {
		t.Errorf("%s, %s: %v", name, text, err)
		return
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) && a.Format("-07:00:00") == b.Format("-07:00:00") })); diff != "" {
		t.Errorf("%s, %s (-want +got):\n%s", name, text, diff)
	}
	back, err := json.Marshal(got)
	if err != nil {
		t.Error(err)
	}
	if before, _, named := strings.Cut(string(text), "["); named && !strings.HasPrefix(string(text), "[") {
		text = json.RawMessage(before) // a named zone becomes its offset
		back = back[:min(len(back), len(text))]
	}
	if string(back) != string(text) {
		t.Errorf("%s was %s and came back as %s", name, text, back)
	}
}

func TestWhatPythonSendsArrives(t *testing.T) {
	at := func(zone *time.Location, clock ...int) time.Time {
		for len(clock) < 7 {
			clock = append(clock, 0)
		}
		return time.Date(clock[0], time.Month(clock[1]), clock[2], clock[3], clock[4], clock[5], clock[6]*1000, zone)
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	india := time.FixedZone("", 19800)
	arrives(t, "dates", []Date{{1, 1, 1}, {2024, 2, 29}, {9999, 12, 31}})
	arrives(t, "datetimes", []Datetime{{at(time.UTC, 2024, 1, 2, 3, 4, 5), true}, {at(time.UTC, 2024, 12, 31, 23, 59, 59, 999999), true}})
	arrives(t, "datetime with fold", Datetime{at(time.UTC, 2024, 10, 27, 2, 30), true})
	arrives(t, "datetime utc", Datetime{at(time.UTC, 2024, 1, 2), false})
	arrives(t, "datetime with a named offset", Datetime{at(time.FixedZone("", -10805), 2024, 1, 2), false})
	arrives(t, "datetime of pytz", []Datetime{{at(time.UTC, 2024, 7, 2), false}, {at(india, 2024, 7, 2), false}})
	arrives(t, "datetime of zoneinfo", Datetime{at(berlin, 2024, 7, 2, 12), false})
	arrives(t, "decimals", []Decimal{"0", "-1.50", "1E+400", "NaN", "-Infinity", "0.1"})
	arrives(t, "times", []string{"00:00:00", "23:59:59.000001", "01:02:00+05:30", "02:00:00"})

	const day = 24 * time.Hour
	text := vector(t, "timedeltas")
	deltas, err := job.Params[[]json.RawMessage]("x", text, true)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []time.Duration{0, -day + 5*time.Microsecond, 400*day + 3*time.Hour} {
		d, err := job.Params[Timedelta]("x", deltas[i], true)
		if err != nil || d.Duration() != want {
			t.Errorf("%s = %s, %v; want %s", deltas[i], d.Duration(), err, want)
		}
		if back, _ := json.Marshal(d); string(back) != string(deltas[i]) {
			t.Errorf("%s came back as %s", deltas[i], back)
		}
	}
	if _, err := job.Params[Timedelta]("x", deltas[3], true); err == nil || !strings.Contains(err.Error(), "less than 292 years") {
		t.Errorf("%s: error %v", deltas[3], err)
	}
}

func TestOtherForms(t *testing.T) {
	type params struct {
		At   Datetime
		On   Date
		In   Timedelta
		Cost Decimal
	}
	p, err := job.Params[params]("x", json.RawMessage(`{"At": "2024-02-29T23:59:59Z", "On": null, "In": -1.5, "Cost": 12345678901234567890.10}`), false)
	want := params{At: Datetime{Time: time.Date(2024, 2, 29, 23, 59, 59, 0, time.UTC)}, In: Timedelta(-1500 * time.Millisecond), Cost: "12345678901234567890.10"}
	if err != nil || !cmp.Equal(p, want) {
		t.Errorf("got %+v, %v; want %+v", p, err, want)
	}
	b, err := json.Marshal(params{})
	if err != nil || string(b) != `{"At":null,"On":null,"In":"0:00:00","Cost":null}` {
		t.Errorf("zero values are %s, %v", b, err)
	}
	if p, err := job.Params[params]("x", b, true); err != nil || p != (params{}) {
		t.Errorf("zero values come back as %+v, %v", p, err)
	}
}

func TestMisfitsNameTheFieldAndTheWantedForm(t *testing.T) {
	type params struct {
		At   Datetime  `json:"at"`
		On   Date      `json:"on"`
		In   Timedelta `json:"in"`
		Cost Decimal   `json:"cost"`
		Rows []struct {
			Due Date `json:"due"`
		} `json:"rows"`
		Keys map[Timedelta]int `json:"keys"`
	}
	for text, want := range map[string]string{
		`{"at": "s3cret"}`:                           `"at" is a JSON string that isn't like "2024-02-29 23:59:59" or`,
		`{"at": "2024-02-29"}`:                       `"at" is a JSON string`,
		`{"at": "2024-02-29 23:59:59[s3cret]"}`:      "a time zone that this machine knows",
		`{"at": "2024-02-29 s3cret[Europe/Berlin]"}`: `"at" is a JSON string`,
		`{"at": 53}`:                                 `"at" is a JSON number that isn't like`,
		`{"at": []}`:                                 `"at" is a JSON array`,
		`{"on": "53"}`:                               `"on" is a JSON string that isn't like "2024-02-29", which a bridge.Date can't hold`,
		`{"on": {}}`:                                 `"on" is a JSON object`,
		`{"on": "2024-02-30"}`:                       `"on" is a JSON string`,
		`{"in": "s3cret"}`:                           `"in" is a JSON string that isn't like "1:30:00", "2 days, 0:00:00" or a number of seconds`,
		`{"in": true}`:                               `"in" is a JSON bool`,
		`{"in": 1e300}`:                              "one of less than 292 years",
		`{"cost": "s3cret"}`:                         `"cost" is a JSON string that isn't like "1.50"`,
		`{"cost": false}`:                            `"cost" is a JSON bool`,
		`{"keys": {"s3cret": 1}}`:                    `is a JSON number, which a bridge.Timedelta can't hold`,
		`{"rows": [{"due": "s3cret"}]}`:              `"rows.due" is a JSON string that isn't like "2024-02-29"`,
	} {
		_, err := job.Params[params]("x", json.RawMessage(text), true)
		var misfit *ParamsError
		if !errors.As(err, &misfit) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "53") {
			t.Errorf("%s: error %v, want one that says %q and shows no value", text, err, want)
		}
	}
}

func TestDatetimeIn(t *testing.T) {
	kolkata := time.FixedZone("", 19800)
	naive := Datetime{Time: time.Date(2024, 1, 2, 3, 0, 0, 0, time.UTC), Naive: true}
	if got, want := naive.In(kolkata), time.Date(2024, 1, 2, 3, 0, 0, 0, kolkata); !got.Equal(want) {
		t.Errorf("naive: %s, want %s", got, want)
	}
	zoned := Datetime{Time: naive.Time}
	if got := zoned.In(kolkata); !got.Equal(naive.Time) || got.Hour() != 8 {
		t.Errorf("zoned: %s, want the same instant", got)
	}
	if got, want := (Date{2024, 1, 2}).In(kolkata), time.Date(2024, 1, 2, 0, 0, 0, 0, kolkata); !got.Equal(want) {
		t.Errorf("date: %s, want %s", got, want)
	}
}

func TestDecimalRat(t *testing.T) {
	for d, want := range map[Decimal]*big.Rat{
		"1.50": big.NewRat(3, 2), "-.5": big.NewRat(-1, 2), "1E+2": big.NewRat(100, 1), "12e-1": big.NewRat(6, 5),
		"": nil, "NaN": nil, "-Infinity": nil, "1E+999999999": nil, "1E-99999999999999999999": nil,
	} {
		r, ok := d.Rat()
		if ok != (want != nil) || ok && r.Cmp(want) != 0 {
			t.Errorf("%q = %v, %t; want %v", string(d), r, ok, want)
		}
	}
}
