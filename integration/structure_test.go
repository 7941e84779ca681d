package integration

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	// A package reads well as long as most of its files know only those below them.
	mostFilesInCircle = 8
	// The rooms of the engine are small enough for less.
	mostFilesInRoomCircle = 5
	mostLines             = 350
)

// Those that still break the limits, with the figure that they may not exceed. Each is to go, none is to be added.
var (
	knownCircles = map[string]int{}
	knownLines   = map[string]int{}
)

// listedPackage is what `go list -json` says of a package.
type listedPackage struct {
	Dir, ImportPath, Export string
	GoFiles                 []string
	DepOnly                 bool
}

// goList runs go list in the root of the module.
func goList(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir, cmd.Stderr = "..", os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// productPackages are the packages of the product, and where the compiler's export data of each dependency lies.
func productPackages(t *testing.T) (product []listedPackage, exports map[string]string) {
	t.Helper()
	out := goList(t, "-deps", "-export", "-json=Dir,ImportPath,Export,GoFiles,DepOnly", "./bridge/...", "./cmd/...", "./frappe/...", "./rqcompat/...")
	exports = map[string]string{}
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p listedPackage
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		exports[p.ImportPath] = p.Export
		if !p.DepOnly {
			product = append(product, p)
		}
	}
	return product, exports
}

// TestFilesKnowFewOthers measures, in each package of the product, the largest circle of files: a set in which every
// file uses identifiers that the others declare, directly or through others of them.
func TestFilesKnowFewOthers(t *testing.T) {
	product, exports := productPackages(t)
	fset := token.NewFileSet()
	compiled := importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	for _, p := range product {
		folder := strings.TrimPrefix(p.ImportPath, module)
		circle := largestCircle(fileUses(t, fset, compiled, p))
		limit := mostFilesInCircle
		if strings.HasPrefix(folder, "bridge/internal/") {
			limit = mostFilesInRoomCircle
		}
		if known, ok := knownCircles[folder]; ok {
			if known <= limit || len(circle) < known {
				t.Errorf("%s has a circle of %d files; correct its entry in knownCircles, which is %d", folder, len(circle), known)
			}
			limit = known
		}
		t.Logf("%-32s %2d files, largest circle %2d", folder, len(p.GoFiles), len(circle))
		if len(circle) > limit {
			t.Errorf("%s: %d files use each other in a circle, want at most %d: %s", folder, len(circle), limit, strings.Join(circle, " "))
		}
	}
}

// fileUses says of each file of a package in which others the identifiers that it uses are declared.
func fileUses(t *testing.T, fset *token.FileSet, imports types.Importer, p listedPackage) map[string]map[string]bool {
	t.Helper()
	var files []*ast.File
	uses := map[string]map[string]bool{}
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
		uses[name] = map[string]bool{}
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	pkg, err := (&types.Config{Importer: imports}).Check(p.ImportPath, fset, files, info)
	if err != nil {
		t.Fatalf("%s: %v", p.ImportPath, err)
	}
	for ident, object := range info.Uses {
		if object.Pkg() != pkg || !object.Pos().IsValid() {
			continue
		}
		from, to := filepath.Base(fset.Position(ident.Pos()).Filename), filepath.Base(fset.Position(object.Pos()).Filename)
		if from != to {
			uses[from][to] = true
		}
	}
	return uses
}

// largestCircle is the largest strongly connected set of files, sorted; one file if there is no circle.
func largestCircle(uses map[string]map[string]bool) (largest []string) {
	reached := map[string]map[string]bool{}
	for file := range uses {
		reached[file] = map[string]bool{}
		reach(uses, file, reached[file])
	}
	for file := range uses {
		circle := []string{file}
		for other := range reached[file] {
			if other != file && reached[other][file] {
				circle = append(circle, other)
			}
		}
		if len(circle) > len(largest) {
			slices.Sort(circle)
			largest = circle
		}
	}
	return largest
}

func reach(uses map[string]map[string]bool, from string, seen map[string]bool) {
	for to := range uses[from] {
		if !seen[to] {
			seen[to] = true
			reach(uses, to, seen)
		}
	}
}

func TestLargestCircle(t *testing.T) {
	arrows := func(pairs ...string) map[string]map[string]bool {
		uses := map[string]map[string]bool{}
		for _, pair := range pairs {
			from, to, _ := strings.Cut(pair, ">")
			for _, file := range []string{from, to} {
				if uses[file] == nil {
					uses[file] = map[string]bool{}
				}
			}
			uses[from][to] = true
		}
		return uses
	}
	for _, tc := range []struct {
		uses map[string]map[string]bool
		want []string
	}{
		{arrows("a>b", "b>c", "a>c"), nil},
		{arrows("a>b", "b>a", "b>c", "c>d"), []string{"a", "b"}},
		{arrows("a>b", "b>c", "c>a", "c>d", "d>e", "e>d"), []string{"a", "b", "c"}},
	} {
		if got := largestCircle(tc.uses); len(got) != max(1, len(tc.want)) || tc.want != nil && !slices.Equal(got, tc.want) {
			t.Errorf("the largest circle of %v is %v, want %v", tc.uses, got, tc.want)
		}
	}
}

// TestFilesAreShort counts the lines of the product's files, Go and Lua, without tests.
func TestFilesAreShort(t *testing.T) {
	longest := map[string]int{}
	for _, path := range sourceFiles(t) {
		top, _, _ := strings.Cut(path, "/")
		lines := countLines(t, filepath.Join("..", path))
		longest[top] = max(longest[top], lines)
		limit := mostLines
		if known, ok := knownLines[path]; ok {
			if lines != known {
				t.Errorf("%s has %d lines; correct its entry in knownLines, which is %d", path, lines, known)
			}
			limit = known
		}
		if lines > limit {
			t.Errorf("%s has %d lines, want at most %d", path, lines, limit)
		}
	}
	t.Logf("longest files: %v", longest)
}

// sourceFiles are the paths of the product's files, from the root of the module.
func sourceFiles(t *testing.T) (paths []string) {
	t.Helper()
	for _, top := range []string{"bridge", "cmd", "frappe", "rqcompat"} {
		before := len(paths)
		err := filepath.WalkDir(filepath.Join("..", top), func(path string, d os.DirEntry, err error) error {
			if err == nil && !strings.HasSuffix(path, "_test.go") && slices.Contains([]string{".go", ".lua"}, filepath.Ext(path)) {
				paths = append(paths, filepath.ToSlash(strings.TrimPrefix(path, "../")))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(paths) == before {
			t.Fatalf("no source file below %s", top)
		}
	}
	return paths
}

func countLines(t *testing.T, path string) (lines int) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for s.Scan() {
		lines++
	}
	if err := s.Err(); err != nil {
		t.Fatal(fmt.Errorf("%s: %w", path, err))
	}
	return lines
}
