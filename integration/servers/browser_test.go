package servers_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
)

func TestBrowser(t *testing.T) {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "seen", Value: "yes"})
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<title>" + r.Header.Get("Cookie") + "</title><script>setTimeout(() => document.title += ' later', 100); undefined.oops</script>"))
	}))
	defer site.Close()
	b := servertest.Browser(t)
	for range 2 { // the second page doesn't have the first one's cookies
		page, err := b.Open(t.Context(), site.URL)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := page.Await(ctx, `document.title === "later"`); err != nil {
			t.Error(err)
		}
		if errs := page.Errors(); !slices.ContainsFunc(errs, func(e string) bool { return strings.Contains(e, "oops") }) {
			t.Errorf("the page reported %q, want the error of its script", errs)
		}
		var answer int
		if err := page.Eval(ctx, "Promise.resolve(42)", &answer); err != nil || answer != 42 {
			t.Errorf("a promise of 42 came to %d, error %v", answer, err)
		}
		if err := page.Eval(ctx, "Promise.reject(new Error('refused'))", nil); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("a promise that failed came to the error %v", err)
		}
		if png, err := page.Screenshot(ctx); err != nil || !strings.HasPrefix(string(png), "\x89PNG") {
			t.Errorf("a screenshot of %d bytes, error %v", len(png), err)
		}
	}
}
