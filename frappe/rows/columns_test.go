package rows

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fieldTypes are the DocField types that may stand behind a column's Go type.
func fieldTypes(field any) []string {
	switch field.(type) {
	case *string:
		return []string{"Data", "Link", "Select", "Text", "Small Text", "Code"}
	case *Status:
		return []string{"Select"}
	case *int:
		return []string{"Int"}
	case *bool:
		return []string{"Check"}
	case *float64:
		return []string{"Percent"}
	case *time.Time:
		return []string{"Datetime"}
	case *json.RawMessage:
		return []string{"JSON"}
	}
	return nil
}

// compareWithDocType holds the columns of R against the DocType's definition.
func compareWithDocType[R any](t *testing.T, file string, columns []*column[R]) {
	t.Helper()
	text, err := definitions.ReadFile("doctype/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var def struct {
		Fields []struct {
			Name string `json:"fieldname"`
			Type string `json:"fieldtype"`
			Reqd int    `json:"reqd"`
		} `json:"fields"`
	}
	if err := json.Unmarshal(text, &def); err != nil {
		t.Fatal(err)
	}
	standard := []string{"name", "creation", "modified", "modified_by", "owner"}
	have := map[string]*column[R]{}
	row, fields := new(R), map[any]string{}
	for _, c := range columns {
		if other := fields[c.field(row)]; c.use&reads != 0 && other != "" {
			t.Errorf("columns %s and %s are read into one field", other, c.name)
		}
		if c.use&reads != 0 {
			fields[c.field(row)] = c.name
		}
		if slices.Contains(standard, c.name) {
			continue
		}
		if first := have[c.name]; first != nil {
			_, instant := first.field(row).(*time.Time)
			if _, text := c.field(row).(*string); !instant || !text || c.use != reads {
				t.Errorf("column %s is described twice; only an instant may be read as its text as well", c.name)
			}
			continue
		}
		have[c.name] = c
	}
	for _, f := range def.Fields {
		c := have[f.Name]
		delete(have, f.Name)
		switch {
		case strings.HasSuffix(f.Type, " Break"), f.Type == "Table":
		case c == nil:
			t.Errorf("field %s of the DocType has no column", f.Name)
		case !slices.Contains(fieldTypes(c.field(row)), f.Type):
			t.Errorf("column %s is a %T, the DocType's field is %s", f.Name, c.field(row), f.Type)
		case f.Reqd == 1 && c.use&creates == 0:
			t.Errorf("the DocType demands %s, which is not written at creation", f.Name)
		}
	}
	for name := range have {
		t.Errorf("column %s is not a field of the DocType", name)
	}
}

func TestColumnsAreThoseOfTheDocTypes(t *testing.T) {
	t.Run("Background Job", func(t *testing.T) { compareWithDocType(t, "background_job.json", jobColumns) })
	t.Run("Job Type", func(t *testing.T) { compareWithDocType(t, "job_type.json", jobTypeColumns) })
	t.Run("Job Schedule", func(t *testing.T) { compareWithDocType(t, "job_schedule.json", jobScheduleColumns) })
	// A move keeps the set of its columns in 64 bits.
	if len(jobColumns) > 64 {
		t.Errorf("%d columns, a move can tell 64", len(jobColumns))
	}
}

// Programs that read a row's JSON find its columns by name.
func TestJSONHasTheColumnsNames(t *testing.T) {
	for _, row := range []reflect.Type{reflect.TypeFor[BackgroundJob](), reflect.TypeFor[LogEntry](), reflect.TypeFor[JobSchedule]()} {
		for f := range row.Fields() {
			column, _, _ := strings.Cut(f.Tag.Get("db"), ",")
			if key, _, _ := strings.Cut(f.Tag.Get("json"), ","); key != column && key != "-" {
				t.Errorf("%s.%s is %q in JSON, its column is %s", row, f.Name, key, column)
			}
		}
	}
}

// Each column that a transition may set arrives in the table, and in the caller's copy, as itself.
func TestEachSettableColumn(t *testing.T) {
	_, d := installed(t, testMajor)
	at := d.Now()
	values := []Value{ // no two alike
		Job.Priority.To("Critical"), Job.DependsOn.To("JOB-1"), Job.ProgressMessage.To("half"), Job.OutputReference.To("/files/a"),
		Job.ErrorMessage.To("no"), Job.ErrorType.To(ErrorPermanent), Job.CanceledBy.To("jane@example.com"), Job.WaitingFor.To("a turn"), Job.LogTail.To("a line"),
		Job.RetryCount.To(2), Job.MaxRetries.To(7), Job.TimeoutSeconds.To(11), Job.Progress.To(12.5),
		Job.NextRetryAt.To(at.Add(1000)), Job.StartedAt.To(at.Add(2000)), Job.CompletedAt.To(at.Add(3000)), Job.CanceledAt.To(at.Add(4000)), Job.CreatedAt.To(at.Add(5000)),
		Job.Organization.To("ORG-2"), Job.OwnerUser.To("joe@example.com"), Job.JobHash.To("0123456789abcdef"), Job.Batch.To("BATCH-1"), Job.InputParameters.To(json.RawMessage(`{"n":1}`)),
	}
	var covered []string
	want := newJobs(t, d, 1, StatusQueued)[0]
	for _, v := range values {
		covered = append(covered, v.Column())
		v.Apply(want)
	}
	var settable []string
	for _, column := range reflect.ValueOf(Job).Fields() {
		settable = append(settable, column.Field(0).Elem().FieldByName("name").String())
	}
	slices.Sort(covered)
	slices.Sort(settable)
	if diff := cmp.Diff(settable, covered); diff != "" {
		t.Fatalf("columns that a transition may set, and those tried here:\n%s", diff)
	}
	r := transit(t, d, Transition{Name: want.Name, From: StatusQueued, To: StatusFailed, Set: values})
	if err := d.x.Get(&want.LogTail, "SELECT log_tail FROM `tabBackground Job`"); err != nil || want.LogTail != "a line" {
		t.Errorf("log_tail is %q, %v", want.LogTail, err)
	}
	want.LogTail = "" // which isn't read with a row
	want.Status, want.Modified, want.ModifiedRaw, want.StartedRaw = StatusFailed, row(t, d, want.Name).Modified, r.Modified, r.StartedRaw
	want.ModifiedBy = systemUser("")
	if diff := cmp.Diff(want, row(t, d, want.Name)); diff != "" {
		t.Errorf("the caller's copy and the row differ:\n%s", diff)
	}
	var empty []Value
	for _, v := range values {
		switch v.to.(type) {
		case *string:
			empty = append(empty, Value{v.column, new(string)})
		case *time.Time:
			empty = append(empty, Value{v.column, new(time.Time)})
		}
	}
	transit(t, d, Transition{Name: want.Name, From: StatusFailed, To: StatusQueued, Set: empty})
	for _, v := range empty {
		var null bool
		if err := d.x.Get(&null, "SELECT `"+v.Column()+"` IS NULL FROM `tabBackground Job`"); err != nil || !null {
			t.Errorf("%s after an empty value: NULL %v, %v", v.Column(), null, err)
		}
	}
}

func TestTransitionSetsTheLaterOfTwoValues(t *testing.T) {
	_, d := installed(t, testMajor)
	name := newJobs(t, d, 1, StatusQueued)[0].Name
	transit(t, d, Transition{Name: name, From: StatusQueued, To: StatusFailed, Set: []Value{Job.ErrorMessage.To("first"), Job.Progress.To(250), Job.ErrorMessage.To("second")}})
	if got := row(t, d, name); got.ErrorMessage != "second" || got.Progress != 100 {
		t.Errorf("error_message %q, progress %v; want the second value, and a percentage", got.ErrorMessage, got.Progress)
	}
}

// A column that an app's own table lacks is refused by the move that wants it, and missed by nobody else.
func TestMissingColumn(t *testing.T) {
	_, d := installed(t, testMajor)
	mustExec(t, d, "ALTER TABLE `tabBackground Job` DROP COLUMN depends_on, DROP COLUMN output_reference")
	d.tables.tables.Forget()
	jobs := newJobs(t, d, 2, StatusQueued)
	results, err := d.Transition(t.Context(), []Transition{
		{Name: jobs[0].Name, From: StatusQueued, To: StatusFailed, Set: []Value{Job.OutputReference.To("x")}},
		{Name: jobs[1].Name, From: StatusQueued, To: StatusFailed, Set: []Value{Job.ErrorMessage.To("x")}},
	})
	if err != nil || results[0].Applied || results[0].Err == nil || !strings.Contains(results[0].Err.Error(), "output_reference") {
		t.Errorf("a move that sets a missing column: %+v, %v", results, err)
	}
	if !results[1].Applied {
		t.Errorf("a move that doesn't: %+v", results[1])
	}
	if got := row(t, d, jobs[1].Name); got.Status != StatusFailed || got.ErrorMessage != "x" {
		t.Errorf("read from a table without two columns: %+v", got)
	}
}

// TestDocTypesInOrder: none links to one that comes after it, and none is missing. Each says whether it is virtual: Frappe compares
// a new child table with the DocType it is in, which it has read with all values.
func TestDocTypesInOrder(t *testing.T) {
	own, err := loadDocTypes("doctype")
	if err != nil {
		t.Fatal(err)
	}
	later := map[string]bool{}
	for _, d := range own {
		later[d.Name] = true
	}
	for _, text := range DocTypes() {
		var d struct {
			Name    string
			Virtual *int `json:"is_virtual"`
			Fields  []struct{ Fieldtype, Options string }
		}
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatal(err)
		}
		delete(later, d.Name)
		if d.Virtual == nil {
			t.Errorf("%s doesn't say whether it is virtual", d.Name)
		}
		for _, f := range d.Fields {
			if f.Fieldtype == "Link" && later[f.Options] {
				t.Errorf("%s links to %s, which comes after it", d.Name, f.Options)
			}
		}
	}
	for name := range later {
		t.Errorf("DocType %s is not among them", name)
	}
}
