package bridge

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// architecture is a section of ARCHITECTURE.md.
func architecture(t *testing.T, section string) string {
	t.Helper()
	text, err := os.ReadFile("../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, found, _ := strings.Cut(string(text), "## "+section)
	found, _, _ = strings.Cut(found, "\n## ")
	return found
}

// TestArchitectureNamesWhatExists: the way of one job in ARCHITECTURE.md names packages and, behind each, functions and
// methods of it. All must exist, in the order of the steps.
func TestArchitectureNamesWhatExists(t *testing.T) {
	story := architecture(t, "The life of one job")
	checked, last := 0, ""
	for _, line := range strings.Split(story, "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 5 {
			continue
		}
		if step := strings.TrimSpace(cells[1]); step > "0" && step < "9" {
			if step <= last {
				t.Errorf("step %q stands after %q", step, last)
			}
			last = step
		}
		checked += checkNames(t, cells[3])
	}
	if checked < 20 || !strings.HasPrefix(last, "7") {
		t.Errorf("only %d functions are named, the last step is %q", checked, last)
	}
}

// TestThreatsAreShown: each line of the threat model names tests that exist.
func TestThreatsAreShown(t *testing.T) {
	threats := architecture(t, "Threats")
	lines := 0
	for _, line := range strings.Split(threats, "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 6 || strings.TrimSpace(cells[1]) == "who" || strings.HasPrefix(cells[1], "---") {
			continue
		}
		if lines++; checkNames(t, cells[4]) == 0 {
			t.Errorf("nothing shows what is said of %q", strings.TrimSpace(cells[1]))
		}
	}
	_, secrets, _ := strings.Cut(threats, "\nSecrets")
	secrets, _, _ = strings.Cut(secrets, "\n")
	if _, shown, _ := strings.Cut(secrets, ":"); checkNames(t, shown) == 0 || lines < 8 {
		t.Errorf("%d threats are named, want those of eight kinds of people and things, and of secrets", lines)
	}
}

var named = regexp.MustCompile("`([^`]+)`")

// checkNames sees that a text's names in backquotes are packages and, behind each, functions and methods of it, and says
// of how many of those.
func checkNames(t *testing.T, text string) (checked int) {
	t.Helper()
	var known map[string]bool
	for _, m := range named.FindAllStringSubmatch(text, -1) {
		if dir := filepath.Join("..", m[1]); isPackage(dir) {
			known = functionsOf(t, dir)
			continue
		}
		if checked++; !known[m[1]] {
			t.Errorf("ARCHITECTURE.md names %s, which the package before it doesn't have", m[1])
		}
	}
	return checked
}

func isPackage(dir string) bool {
	found, _ := filepath.Glob(filepath.Join(dir, "*.go"))
	return len(found) > 0
}

// functionsOf lists a package's functions as F and its methods as T.F.
func functionsOf(t *testing.T, dir string) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	files, _ := filepath.Glob(filepath.Join(dir, "*.go"))
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			name := fn.Name.Name
			if fn.Recv != nil {
				receiver := fn.Recv.List[0].Type
				if star, ok := receiver.(*ast.StarExpr); ok {
					receiver = star.X
				}
				if id, ok := receiver.(*ast.Ident); ok {
					name = id.Name + "." + name
				}
			}
			known[name] = true
		}
	}
	return known
}
