package integration

import (
	"slices"
	"strings"
	"testing"
)

const module = "github.com/opensoft/dartwing-bridge/"

// dependencies are all packages that the patterns need, they themselves included.
func dependencies(t *testing.T, patterns ...string) []string {
	t.Helper()
	return strings.Fields(string(goList(t, append([]string{"-deps"}, patterns...)...)))
}

var productPatterns = []string{"./bridge/...", "./cmd/...", "./frappe/...", "./rqcompat/..."}

// What tests and the demo start is not part of the product: whoever installs the program doesn't get it.
func TestProductHasNothingOfTheTests(t *testing.T) {
	for _, path := range dependencies(t, productPatterns...) {
		inside, ours := strings.CutPrefix(path, module)
		if top, _, _ := strings.Cut(inside, "/"); ours && (top == "integration" || top == "testdata") {
			t.Errorf("the product imports %s", inside)
		}
	}
	if slices.Contains(dependencies(t, "./cmd/bridge"), "testing") {
		t.Error("the program links the package testing")
	}
}

// The servers of the tests lie in the product's module, since its own tests start them. They must not make it
// heavier: what they import the product needs anyway, or it is of the standard library.
func TestServersNeedWhatTheProductNeeds(t *testing.T) {
	product := dependencies(t, productPatterns...)
	for _, path := range dependencies(t, "./integration/servers/...") {
		first, _, _ := strings.Cut(path, "/")
		if standard := !strings.Contains(first, "."); !standard && !strings.HasPrefix(path, module) && !slices.Contains(product, path) {
			t.Errorf("integration/servers imports %s, which the product does without", path)
		}
	}
}
