package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// service starts an HTTP server with one handler and returns a job handler
// that calls it.
func service(t *testing.T, cfg HTTPConfig, serve http.HandlerFunc) func(context.Context, runRequest) (any, error) {
	t.Helper()
	s := httptest.NewServer(serve)
	t.Cleanup(s.Close)
	cfg.URL = s.URL + "/run?token=secret"
	run, err := newHTTPHandler(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func answers(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func TestHTTPRequest(t *testing.T) {
	var got map[string]any
	var header http.Header
	var host, method string
	run := service(t, HTTPConfig{Method: "PUT", Headers: map[string]string{"authorization": "Bearer x", "Host": "svc.example"}},
		func(w http.ResponseWriter, r *http.Request) {
			header, host, method = r.Header, r.Host, r.Method
			if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
				t.Error(err)
			}
			answers(200, "application/json; charset=utf-8", `{"result": {"n": 12345678901234567890}, "output": "/files/x"}`)(w, r)
		})
	var h heard
	result, err := run(t.Context(), h.request(`{"a": [1]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"job_id": "site1||1", "name": "JOB-2025-00001", "job_type": "report", "site": "site1.localhost",
		"user": "jane@example.com", "organization": "ORG-1", "attempt": 2.0, "timeout_seconds": 90.0,
		"parameters": map[string]any{"a": []any{1.0}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	if method != "PUT" || host != "svc.example" || header.Get("Authorization") != "Bearer x" || header.Get("Content-Type") != "application/json" {
		t.Errorf("request was %s with Host %s and %v", method, host, header)
	}
	if diff := cmp.Diff(map[string]any{"n": json.Number("12345678901234567890")}, result); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"/files/x"}, h.Outputs); diff != "" {
		t.Errorf("outputs (-want +got):\n%s", diff)
	}
}

func TestHTTPSuccess(t *testing.T) {
	for name, tc := range map[string]struct {
		serve http.HandlerFunc
		want  any
	}{
		"no content":   {answers(204, "", ""), nil},
		"empty JSON":   {answers(200, "application/json", " "), nil},
		"text":         {answers(200, "text/plain", "done"), nil},
		"null result":  {answers(200, "application/json", `{"result": null}`), nil},
		"other keys":   {answers(201, "application/json", `{"ok": true}`), nil},
		"plain result": {answers(202, "application/json", `{"result": "x"}`), "x"},
	} {
		t.Run(name, func(t *testing.T) {
			var h heard
			result, err := service(t, HTTPConfig{}, tc.serve)(t.Context(), h.request(""))
			if err != nil || result != tc.want {
				t.Errorf("got %v, %v; want %v", result, err, tc.want)
			}
		})
	}
}

func TestHTTPFailure(t *testing.T) {
	for name, tc := range map[string]struct {
		serve http.HandlerFunc
		want  ErrorType
		text  string
	}{
		"400":             {answers(400, "text/plain", "bad  input\n"), ErrorPermanent, "HTTP 400 Bad Request: bad input"},
		"401":             {answers(401, "", ""), ErrorPermanent, "no text in the answer"},
		"404":             {answers(404, "application/json", `{"error": "no such report"}`), ErrorPermanent, "HTTP 404 Not Found: no such report"},
		"408":             {answers(408, "", ""), ErrorTransient, ""},
		"417":             {answers(417, "application/json", `{"exception": "frappe.exceptions.ValidationError: x"}`), ErrorPermanent, "ValidationError: x"},
		"425":             {answers(425, "", ""), ErrorTransient, ""},
		"429":             {answers(429, "", ""), ErrorTransient, ""},
		"500":             {answers(500, "", strings.Repeat("é", 50000)), ErrorTransient, "…"},
		"503":             {answers(503, "", ""), ErrorTransient, ""},
		"redirect":        {http.RedirectHandler("/elsewhere", http.StatusTemporaryRedirect).ServeHTTP, ErrorPermanent, "redirects are not followed"},
		"broken JSON":     {answers(200, "application/json", `{"result": `), ErrorPermanent, "the answer is no object"},
		"no object":       {answers(200, "application/json", `[1]`), ErrorPermanent, "the answer is no object"},
		"too long":        {answers(200, "application/json", `"`+strings.Repeat("x", maxAnswer)+`"`), ErrorPermanent, "longer than"},
		"breaks off":      {breaksOff("application/json", `{"result"`), ErrorTransient, "unexpected EOF"},
		"stream breaks":   {breaksOff("application/x-ndjson", `{"progress": 5}`+"\n"), ErrorTransient, "unexpected EOF"},
		"connection lost": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, ErrorTransient, "EOF"},
		"stream failed":   {answers(200, "application/x-ndjson", `{"error": "disk full"}`), ErrorTransient, "disk full"},
		"stream refused":  {answers(200, "application/x-ndjson", `{"error": "bad", "permanent": true}`+"\n"+`{"result": 1}`), ErrorPermanent, "bad"},
	} {
		t.Run(name, func(t *testing.T) {
			var h heard
			result, err := service(t, HTTPConfig{}, tc.serve)(t.Context(), h.request(""))
			if err == nil || result != nil {
				t.Fatalf("got %v, %v; want an error only", result, err)
			}
			if got := classify(err); got != tc.want {
				t.Errorf("%v is %s, want %s", err, got, tc.want)
			}
			if !strings.Contains(err.Error(), tc.text) || len(err.Error()) > 1000 {
				t.Errorf("error %q lacks %q", err, tc.text)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("error shows the query: %v", err)
			}
		})
	}
}

// breaksOff promises more than it sends.
func breaksOff(contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte(body))
	}
}

func TestHTTPRetryAfter(t *testing.T) {
	for name, tc := range map[string]struct {
		status   int
		header   string
		min, max time.Duration // zero: the policy's pause
	}{
		"seconds":        {503, "120", 2 * time.Minute, 2 * time.Minute},
		"too many":       {429, "7", 7 * time.Second, 7 * time.Second},
		"zero":           {429, "0", 1, time.Second},
		"date":           {503, time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), 59 * time.Minute, time.Hour},
		"past date":      {503, time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), 1, time.Second},
		"years":          {503, "400000000", maxRetryAfter, maxRetryAfter},
		"nonsense":       {503, "soon", 0, 0},
		"negative":       {503, "-5", 0, 0},
		"missing":        {503, "", 0, 0},
		"another status": {500, "120", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var h heard
			_, err := service(t, HTTPConfig{}, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", tc.header)
				w.WriteHeader(tc.status)
			})(t.Context(), h.request(""))
			var wish *handlerError
			if !errors.As(err, &wish) {
				wish = &handlerError{}
			}
			if wish.after < tc.min || wish.after > tc.max {
				t.Errorf("retry after %s, want %s to %s (%v)", wish.after, tc.min, tc.max, err)
			}
			if classify(err) != ErrorTransient {
				t.Errorf("%v is not transient", err)
			}
		})
	}
}

func TestHTTPStream(t *testing.T) {
	step := make(chan struct{})
	var h heard
	run := service(t, HTTPConfig{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		for i := range 3 {
			_, _ = fmt.Fprintf(w, "{\"progress\": %d, \"message\": \"step\"}\n", i*50)
			w.(http.Flusher).Flush()
			select {
			case <-step:
			case <-r.Context().Done():
			}
		}
		_, _ = fmt.Fprint(w, "a log line\n{\"output\": \"/f\"}\n{\"result\": [true]}")
	})
	r := h.request("")
	progress := r.Progress
	r.Progress = func(pct float64, msg string) {
		progress(pct, msg)
		step <- struct{}{} // the server goes on only when the report has arrived
	}
	result, err := run(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]any{true}, result); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"0 step", "50 step", "100 step"}, h.Progress); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	if len(h.Outputs) != 1 || !strings.Contains(h.Log(), "a log line") {
		t.Errorf("outputs %v, log %s", h.Outputs, h.Log())
	}
}

func TestHTTPEnds(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	streams := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	for name, serve := range map[string]http.HandlerFunc{"before the answer": hang, "in the stream": streams} {
		t.Run(name, func(t *testing.T) {
			var h heard
			ctx, cancel := context.WithCancelCause(t.Context())
			timer := time.AfterFunc(100*time.Millisecond, func() { cancel(ErrStopped) })
			defer timer.Stop()
			if _, err := service(t, HTTPConfig{}, drained(serve))(ctx, h.request("")); !errors.Is(err, ErrStopped) {
				t.Errorf("cancelled: error = %v, want ErrStopped", err)
			}
			_, err := service(t, HTTPConfig{Timeout: Seconds(100 * time.Millisecond)}, drained(serve))(t.Context(), h.request(""))
			if !errors.Is(err, errHTTPTimeout) || classify(err) != ErrorTransient {
				t.Errorf("own timeout: error = %v, want errHTTPTimeout, transient", err)
			}
		})
	}
}

// drained reads the request first: only then does the server see the client go.
func drained(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var v any
		_ = json.NewDecoder(r.Body).Decode(&v)
		next(w, r)
	}
}

func TestHTTPUnreachable(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	run, err := newHTTPHandler(HTTPConfig{URL: strings.Replace(s.URL, "http://", "http://user:secret@", 1) + "?token=secret"})
	if err != nil {
		t.Fatal(err)
	}
	var h heard
	_, err = run(t.Context(), h.request(""))
	if err == nil || classify(err) != ErrorTransient || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("error = %v, want a transient refusal", err)
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("error shows secrets: %v", err)
	}
}

func TestNewHTTPHandlerRefuses(t *testing.T) {
	for name, cfg := range map[string]HTTPConfig{
		"no URL":         {},
		"no scheme":      {URL: "localhost:80/x"},
		"other scheme":   {URL: "ftp://secret@host/"},
		"no host":        {URL: "http:///x"},
		"broken":         {URL: "http://user:secret@host:port\x00/"},
		"method":         {URL: "http://host/", Method: "GET"},
		"header name":    {URL: "http://host/", Headers: map[string]string{"a b": "x"}},
		"header newline": {URL: "http://host/", Headers: map[string]string{"a": "secret\nx"}},
	} {
		_, err := newHTTPHandler(cfg)
		if err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), "secret") && name != "other scheme" {
			t.Errorf("%s: error shows a secret: %v", name, err)
		}
	}
}
