package bridge

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/opensoft/dartwing-bridge/"

// arrows lists which packages of this module the product code of each package may import; everything else is a mistake
// in the structure. "/..." means a folder with all that is below it.
var arrows = map[string][]string{
	"rqcompat":        {"rqcompat/pickle", "rqcompat/lua"},
	"rqcompat/pickle": {},

	"frappe":               {"frappe/internal/dial"},
	"frappe/internal/dial": {},
	"frappe/internal/memo": {},
	"frappe/rows":          {"frappe", "frappe/internal/dial", "frappe/internal/memo"},
	"frappe/access":        {"frappe/rows", "frappe/internal/memo"},
	"frappe/documents":     {"frappe", "frappe/rows"},
	"frappe/realtime":      {"frappe"},
	"frappe/socketio":      {"frappe"},

	"bridge/internal/wait":    {},
	"bridge/internal/batch":   {"bridge/internal/wait"},
	"bridge/internal/outage":  {"rqcompat"},
	"bridge/internal/job":     {"frappe/rows", "rqcompat", "rqcompat/pickle"},
	"bridge/internal/foreign": {"bridge/internal/job", "bridge/internal/wait"},
	"bridge/internal/moves":   {"bridge/internal/job", "frappe/rows"},
	"bridge/internal/policy":  {"bridge/internal/job", "frappe", "frappe/access", "frappe/rows", "rqcompat"},
	"bridge/internal/workers": {"bridge/internal/wait", "rqcompat"},
	"bridge/internal/sites": {"bridge/internal/moves", "bridge/internal/batch", "bridge/internal/wait",
		"frappe", "frappe/rows", "frappe/access", "rqcompat", "rqcompat/pickle"},
	"bridge/internal/breaker": {"bridge/internal/sites", "bridge/internal/batch", "bridge/internal/wait", "frappe/rows"},
	"bridge/internal/desk":    {"bridge/internal/sites", "bridge/internal/batch", "bridge/internal/job", "bridge/internal/wait", "frappe/realtime", "frappe/rows"},
	"bridge/internal/route": {"bridge/internal/policy", "bridge/internal/sites", "bridge/internal/job", "bridge/internal/wait",
		"frappe", "frappe/rows", "frappe/access", "rqcompat", "rqcompat/pickle"},
	"bridge/internal/intake": {"bridge/internal/route", "bridge/internal/policy", "bridge/internal/workers", "bridge/internal/job", "bridge/internal/wait",
		"rqcompat"},
	"bridge/internal/attempt": {"bridge/internal/route", "bridge/internal/policy", "bridge/internal/sites", "bridge/internal/moves", "bridge/internal/workers",
		"bridge/internal/batch", "bridge/internal/job", "bridge/internal/wait", "frappe/rows", "rqcompat"},
	"bridge/internal/byhand": {"bridge/internal/attempt", "bridge/internal/policy", "bridge/internal/sites", "bridge/internal/moves", "bridge/internal/batch",
		"bridge/internal/job", "bridge/internal/wait", "frappe", "frappe/rows", "frappe/access", "frappe/realtime", "rqcompat"},
	"bridge/internal/submit": {"bridge/internal/policy", "bridge/internal/moves", "bridge/internal/sites", "bridge/internal/batch", "bridge/internal/job", "bridge/internal/wait",
		"frappe", "frappe/rows", "frappe/access", "rqcompat"},
	"bridge/internal/batches": {"bridge/internal/submit", "bridge/internal/policy", "bridge/internal/sites", "bridge/internal/moves", "bridge/internal/batch",
		"bridge/internal/job", "bridge/internal/wait", "frappe/realtime", "frappe/rows"},
	"bridge/internal/maintenance": {"bridge/internal/route", "bridge/internal/sites", "bridge/internal/moves", "bridge/internal/workers", "bridge/internal/job",
		"bridge/internal/cron", "bridge/internal/batch", "bridge/internal/wait", "frappe", "frappe/rows", "rqcompat"},

	"bridge/internal/waits": {"bridge/internal/route", "bridge/internal/policy", "bridge/internal/sites", "bridge/internal/workers", "bridge/internal/job",
		"frappe/rows", "rqcompat"},

	"bridge":             {"bridge/internal/...", "frappe", "frappe/access", "frappe/rows", "frappe/realtime", "rqcompat"},
	"bridge/benchconfig": {"bridge", "frappe"},
	"bridge/bridgetest":  {"bridge", "bridge/internal/attempt", "bridge/internal/job", "frappe/rows", "rqcompat/..."},

	"cmd":         {"cmd/...", "bridge", "bridge/benchconfig", "frappe/...", "rqcompat/..."},
	"integration": {"integration/...", "cmd/...", "bridge/...", "frappe/...", "rqcompat/...", "testdata/..."},
}

// allowed reports whether one of the entries names a package.
func allowed(entries []string, target string) bool {
	return slices.ContainsFunc(entries, func(entry string) bool {
		folder, below := strings.CutSuffix(entry, "/...")
		return target == folder || below && strings.HasPrefix(target, folder+"/")
	})
}

// TestArrows holds that imports run one way, between the libraries and between the rooms.
func TestArrows(t *testing.T) {
	checked := map[string]bool{}
	err := filepath.WalkDir("..", func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && d.Name() != ".."):
			return filepath.SkipDir
		case !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go"):
			return nil
		}
		from := home(filepath.ToSlash(strings.TrimPrefix(filepath.Dir(file), "../")))
		if from == "" {
			t.Errorf("%s is in a package that arrows doesn't know: say there what it may import", file)
			return nil
		}
		checked[from] = true
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range f.Imports {
			target, _ := strconv.Unquote(spec.Path.Value)
			if to, ok := strings.CutPrefix(target, module); ok && !allowed(arrows[from], to) {
				t.Errorf("%s imports %s: %s may import %v only", file, to, from, arrows[from])
			}
			if target == "testing" && from != "integration" && from != "bridge/bridgetest" {
				t.Errorf("%s imports testing in product code", file)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for from := range arrows {
		if !checked[from] {
			t.Errorf("no source file of %s was checked", from)
		}
	}
}

// home is the line of arrows that a folder belongs to.
func home(dir string) string {
	for ; dir != "." && dir != "/"; dir = path.Dir(dir) {
		if arrows[dir] != nil {
			return dir
		}
	}
	return ""
}
