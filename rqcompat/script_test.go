package rqcompat

import (
	"io/fs"
	"path"
	"regexp"
	"testing"
)

// TestScriptsDefineOnce: no file is included twice, and nothing hides anything.
func TestScriptsDefineOnce(t *testing.T) {
	files, err := fs.Glob(luaFiles, "lua/*.lua")
	if err != nil || len(files) < 20 {
		t.Fatalf("found scripts %q, %v", files, err)
	}
	for _, file := range files {
		seen := map[string]bool{}
		source := scriptSource(path.Base(file))
		for _, m := range regexp.MustCompile(`(?m)^local function (\w+)`).FindAllStringSubmatch(source, -1) {
			if seen[m[1]] {
				t.Errorf("%s defines %s twice", file, m[1])
			}
			seen[m[1]] = true
		}
	}
}
