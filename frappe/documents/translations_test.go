package documents

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// inScript finds what a script has translated; what isn't a text in one piece can't be found by anybody.
var inScript = regexp.MustCompile(`\b__\(\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')`)

// notText are labels that are the same in every language.
var notText = regexp.MustCompile(`^[^A-Za-z]*$`)

// texts are those that people read, each with where it stands: in scripts, and the labels that Frappe's desk translates.
func texts(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	add := func(where string, value any) {
		if text, _ := value.(string); !notText.MatchString(text) {
			found[text] = where
		}
	}
	err := fs.WalkDir(shipped, "shipped", func(file string, d fs.DirEntry, err error) error {
		if err != nil || path.Ext(file) != ".js" {
			return err
		}
		script, err := fs.ReadFile(shipped, file)
		for _, m := range inScript.FindAllSubmatch(script, -1) {
			literal := string(m[1])
			if literal[0] == '\'' {
				literal = `"` + strings.ReplaceAll(strings.Trim(literal, "'"), `"`, `\"`) + `"`
			}
			var text string
			if err := json.Unmarshal([]byte(literal), &text); err != nil {
				t.Errorf("%s: %s: %v", file, literal, err)
			}
			add(file, text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// What programs write into Notification Logs, which ask for these translations.
	notifications, err := os.ReadFile("testdata/notifications.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(notifications)) {
		add("a notification", strings.TrimSpace(line))
	}
	all, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	rowsOf := func(d Document, table string, columns ...string) {
		rows, _ := d.Fields[table].([]any)
		for _, row := range rows {
			for _, column := range columns {
				add(d.DocType+" "+d.Name, row.(map[string]any)[column])
			}
		}
	}
	for _, d := range all {
		where := d.DocType + " " + d.Name
		switch d.Kind {
		case "doctype":
			add(where, d.Name)
			rowsOf(d, "fields", "label", "description")
			rowsOf(d, "links", "group")
			for _, field := range d.Fields["fields"].([]any) {
				f := field.(map[string]any)
				if f["fieldtype"] == "Select" && f["fieldname"] != "naming_series" {
					options, _ := f["options"].(string)
					for option := range strings.SplitSeq(options, "\n") {
						add(where, option)
					}
				}
			}
		case "report":
			add(where, d.Name)
			rowsOf(d, "columns", "label")
		case "number_card":
			add(where, d.Fields["label"])
		case "workspace":
			add(where, d.Fields["label"])
			for _, table := range []string{"charts", "shortcuts", "quick_lists", "number_cards", "custom_blocks", "links"} {
				rowsOf(d, table, "label")
			}
		case "list_filter":
			add(where, d.Fields["filter_name"])
		}
	}
	return found
}

// frappes are the texts that Frappe 15 itself has in German and French, among those that are used here.
func frappes(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("testdata/frappe_translates.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		all[strings.TrimSpace(line)] = true
	}
	return all
}

// TestEverythingIsTranslated: each text has its German and French, Frappe's or ours, and no translation is of another text.
func TestEverythingIsTranslated(t *testing.T) {
	used, has := texts(t), frappes(t)
	for _, language := range []string{"de", "fr"} {
		lines, err := translationLines(shipped, "shipped/translation/"+language+".csv")
		if err != nil {
			t.Fatal(err)
		}
		ours := map[string]string{}
		for _, line := range lines {
			if _, twice := ours[line[0]]; twice || used[line[0]] == "" || has[line[0]] {
				t.Errorf("%s.csv: %q is there twice, or used nowhere, or Frappe's", language, line[0])
			}
			if line[1] == "" || !slices.Equal(placeholders(line[0]), placeholders(line[1])) {
				t.Errorf("%s.csv: %q is %q, with other placeholders or none", language, line[0], line[1])
			}
			ours[line[0]] = line[1]
		}
		for _, text := range slices.Sorted(maps.Keys(used)) {
			if ours[text] == "" && !has[text] {
				t.Errorf("%s.csv lacks %q, of %s", language, text, used[text])
			}
		}
	}
}

func placeholders(text string) []string {
	found := regexp.MustCompile(`\{\d\}`).FindAllString(text, -1)
	slices.Sort(found)
	return found
}

func TestTranslationsAreDocuments(t *testing.T) {
	all, err := load(fstest.MapFS{"shipped/translation/de.csv": {Data: []byte("Running,Läuft\n\"a, b\",\"a, b!\"\n")}})
	if err != nil {
		t.Fatal(err)
	}
	d := all[len(all)-1]
	if d.DocType != "Translation" || d.Fields["language"] != "de" || d.Fields["source_text"] != "a, b" || d.Fields["translated_text"] != "a, b!" || d.Fields["name"] != d.Name {
		t.Errorf("%+v", d)
	}
	if other := all[len(all)-2]; other.Name == d.Name || !strings.HasPrefix(other.Name, "de-") {
		t.Errorf("names %q and %q", other.Name, d.Name)
	}
	if _, err := load(fstest.MapFS{"shipped/translation/de.csv": {Data: []byte("a,b,c\n")}}); err == nil || !strings.Contains(err.Error(), "translation/de.csv: record on line 1") {
		t.Errorf("a line of three: %v", err)
	}
}
