package documents

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// withModule are the DocTypes that have a field module. The Workspace has none: where the DocTypes are an app's own, nobody
// reads anything of our module, and Frappe hides the workspaces of such a module. Its roles say who sees it.
var withModule = []string{"DocType", "Custom Field", "Client Script", "Property Setter", "Report", "Number Card", "Dashboard Chart", "Dashboard"}

func TestDocuments(t *testing.T) {
	all, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, d := range all {
		key := d.DocType + " " + d.Name
		if seen[key] {
			t.Errorf("%s is there twice", key)
		}
		seen[key] = true
		if want := strings.ReplaceAll(strings.ToLower(d.DocType), " ", "_"); d.Kind != want {
			t.Errorf("%s is in the folder %s, want %s", key, d.Kind, want)
		}
		if slices.Contains(withModule, d.DocType) && d.Fields["module"] != Module {
			t.Errorf("%s is of the module %v, want %s", key, d.Fields["module"], Module)
		}
	}
	for _, want := range []string{"Role Dartwing Admin", "Module Def Background Jobs", "DocType Background Job", "DocType Job Type"} {
		if !seen[want] {
			t.Errorf("%s is not there", want)
		}
	}
	if !slices.IsSortedFunc(all, func(a, b Document) int { return slices.Index(kinds, a.Kind) - slices.Index(kinds, b.Kind) }) {
		t.Error("documents are not in the order of their kinds")
	}
}

// TestEveryFileIsUsed: a script that no document names would be shipped to nobody.
func TestEveryFileIsUsed(t *testing.T) {
	var texts strings.Builder
	walk := func(do func(file string)) {
		err := fs.WalkDir(shipped, "shipped", func(file string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				do(file)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	walk(func(file string) {
		if text, err := fs.ReadFile(shipped, file); err != nil {
			t.Error(err)
		} else if path.Ext(file) == ".json" {
			texts.Write(text)
		}
	})
	walk(func(file string) {
		if path.Ext(file) != ".json" && path.Dir(file) != "shipped/translation" && !regexp.MustCompile(`@`+regexp.QuoteMeta(path.Base(file))+`[" ]`).MatchString(texts.String()) {
			t.Errorf("no document names the file %s", file)
		}
	})
}

func TestFilesStandInTheirPlace(t *testing.T) {
	files := fstest.MapFS{
		"shipped/client_script/a.json": {Data: []byte(`{"doctype":"Client Script","name":"A","script":"@a.js @b.js","rows":[{"x":"@a.js"}]}`)},
		"shipped/client_script/a.js":   {Data: []byte("1;")},
		"shipped/client_script/b.js":   {Data: []byte("2;")},
	}
	all, err := load(files)
	if err != nil {
		t.Fatal(err)
	}
	got := all[len(all)-1].Fields
	if inner := got["rows"].([]any)[0].(map[string]any)["x"]; got["script"] != "1;2;" || inner != "1;" {
		t.Errorf("script %q, in a row %q, want the files' content", got["script"], inner)
	}
}

func TestBadDocumentsAreNamed(t *testing.T) {
	for name, c := range map[string]struct{ file, text, want string }{
		"JSON":  {"shipped/report/a.json", `{`, "report/a.json: unexpected end"},
		"names": {"shipped/report/a.json", `{"doctype":"Report"}`, "report/a.json: it has to have a doctype and a name"},
		"file":  {"shipped/report/a.json", `{"doctype":"Report","name":"A","query":"@a.sql"}`, "a.sql: file does not exist"},
		"kind":  {"shipped/reports/a.json", `{}`, "shipped/reports is not among the kinds"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(fstest.MapFS{c.file: {Data: []byte(c.text)}})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one with %q", err, c.want)
			}
		})
	}
}
