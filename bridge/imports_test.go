package bridge

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/opensoft/dartwing-bridge/"

// mayImport lists, for each top-level folder, which others of this module its
// product code may import: cmd → bridge → rqcompat, bridge → frappe. The two
// leaves know neither each other nor the engine.
var mayImport = map[string][]string{
	"rqcompat": {"rqcompat"},
	"frappe":   {"frappe"},
	"bridge":   {"bridge", "rqcompat", "frappe"},
	"cmd":      {"cmd", "bridge", "rqcompat", "frappe"},
	// The demo shows jobs as the program does.
	"integration": {"integration", "cmd", "bridge", "rqcompat", "frappe", "testdata"},
}

func TestImportRule(t *testing.T) {
	checked := map[string]int{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || strings.HasPrefix(d.Name(), ".") && d.Name() != "..") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		rel := filepath.ToSlash(strings.TrimPrefix(path, "../"))
		top, _, _ := strings.Cut(rel, "/")
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range f.Imports {
			target, _ := strconv.Unquote(spec.Path.Value)
			if inside, ok := strings.CutPrefix(target, module); ok && !allowed(top, inside) {
				t.Errorf("%s imports %s: %s may import %v only", rel, inside, top, mayImport[top])
			}
			if top != "cmd" && top != "integration" && target == "testing" {
				t.Errorf("%s imports testing in product code", rel)
			}
		}
		checked[top]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for top := range mayImport {
		if checked[top] == 0 {
			t.Errorf("no source file below %s was checked", top)
		}
	}
}

func allowed(top, target string) bool {
	for _, prefix := range mayImport[top] {
		if target == prefix || strings.HasPrefix(target, prefix+"/") {
			return true
		}
	}
	return false
}

// The seven steps are seven files that say so, in order.
func TestSevenStepsHaveTheirFiles(t *testing.T) {
	for i, file := range []string{"fetch.go", "route.go", "admit.go", "execute.go", "progress.go", "settle.go", "events.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		want := "Step " + strconv.Itoa(i+1) + ": "
		if len(f.Comments) == 0 || !strings.HasPrefix(f.Comments[0].Text(), want) {
			t.Errorf("the first comment of %s doesn't start with %q", file, want)
		}
	}
}
