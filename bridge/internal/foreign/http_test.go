package foreign

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
	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
)

// service starts an HTTP server with one handler and returns a job handler that calls it.
func service(t *testing.T, cfg HTTP, serve http.HandlerFunc) Call {
	t.Helper()
	s := httptest.NewServer(serve)
	t.Cleanup(s.Close)
	cfg.URL = s.URL + "/run?token=secret"
	run, err := NewHTTP(cfg)
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
	run := service(t, HTTP{Method: "PUT", Headers: map[string]string{"authorization": "Bearer x", "Host": "svc.example"}},
		func(w http.ResponseWriter, r *http.Request) {
			header, host, method = r.Header, r.Host, r.Method
			if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
				t.Error(err)
			}
			answers(200, "application/json; charset=utf-8", `{"result": {"n": 12345678901234567890}, "output": "/files/x"}`)(w, r)
		})
	var h heard
	told := attempt
	told.Lossy = []string{"$.a: set written as a list"}
	result, err := run(t.Context(), told, json.RawMessage(`{"a": [1, "<"]}`), &h)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"job_id": "site1||1", "name": "JOB-2025-00001", "job_type": "report", "site": "site1.localhost",
		"user": "jane@example.com", "organization": "ORG-1", "attempt": 2.0, "timeout_seconds": 90.0,
		"parameters": map[string]any{"a": []any{1.0, "<"}}, "lossy": []any{"$.a: set written as a list"},
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
	if diff := cmp.Diff([]string{"/files/x"}, h.outputs); diff != "" {
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
			result, err := service(t, HTTP{}, tc.serve)(t.Context(), attempt, nil, &h)
			if err != nil || result != tc.want {
				t.Errorf("got %v, %v; want %v", result, err, tc.want)
			}
		})
	}
}

// TestSnooze: a program and a URL may want to be called again, also in parts of a second.
func TestSnooze(t *testing.T) {
	for name, handler := range map[string]Call{
		"a line of a program": shell(t, Exec{}, `echo '{"snooze": 0.5}'`),
		"a line of a stream":  service(t, HTTP{}, answers(200, "application/x-ndjson", `{"progress": 5}`+"\n"+`{"snooze": 0.5}`+"\n")),
		"an answer":           service(t, HTTP{}, answers(200, "application/json", `{"snooze": 0.5}`)),
	} {
		var h heard
		_, err := handler(t.Context(), attempt, nil, &h)
		if f := job.ReadError(err); f == nil || f.Snooze != 500*time.Millisecond {
			t.Errorf("%s: %v, want a snooze of half a second", name, err)
		}
	}
}

func TestHTTPFailure(t *testing.T) {
	for name, tc := range map[string]struct {
		serve http.HandlerFunc
		want  job.ErrorType
		text  string
	}{
		"400":                       {answers(400, "text/plain", "bad  input\n"), job.Permanent, "HTTP 400 Bad Request: bad input"},
		"401":                       {answers(401, "", ""), job.Permanent, "no text in the answer"},
		"404":                       {answers(404, "application/json", `{"error": "no such report"}`), job.Permanent, "HTTP 404 Not Found: no such report"},
		"408":                       {answers(408, "", ""), job.Transient, ""},
		"417":                       {answers(417, "application/json", `{"exception": "frappe.exceptions.ValidationError: x"}`), job.Permanent, "ValidationError: x"},
		"425":                       {answers(425, "", ""), job.Transient, ""},
		"429":                       {answers(429, "", ""), job.Transient, ""},
		"500":                       {answers(500, "", strings.Repeat("é", 50000)), job.Transient, "…"},
		"503":                       {answers(503, "", ""), job.Transient, ""},
		"redirect":                  {http.RedirectHandler("/elsewhere", http.StatusTemporaryRedirect).ServeHTTP, job.Permanent, "redirects are not followed"},
		"broken JSON":               {answers(200, "application/json", `{"result": `), job.Permanent, "the answer is not an object"},
		"no object":                 {answers(200, "application/json", `[1]`), job.Permanent, "the answer is not an object"},
		"too long":                  {answers(200, "application/json", `"`+strings.Repeat("x", maxAnswer)+`"`), job.Permanent, "longer than"},
		"breaks off":                {breaksOff("application/json", `{"result"`), job.Transient, "unexpected EOF"},
		"stream breaks":             {breaksOff("application/x-ndjson", `{"progress": 5}`+"\n"), job.Transient, "unexpected EOF"},
		"connection lost":           {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, job.Transient, "EOF"},
		"stream with a long line":   {answers(200, "application/x-ndjson", `{"error": "`+strings.Repeat("x", maxReport)+`"}`), job.Permanent, "longer than 1048576 bytes"},
		"stream with a long result": {answers(200, "application/x-ndjson", `{"result": "`+strings.Repeat("x", maxReport)+`"}`+"\n"), job.Permanent, "longer than 1048576 bytes"},
		"stream with another error": {answers(200, "application/x-ndjson", `{"error": {"code": 7}}`), job.Permanent, `starts with {"error": can't be read`},
		"stream of Python's NaN":    {answers(200, "application/x-ndjson", `{"result": NaN}`), job.Permanent, `starts with {"result": can't be read`},
		"stream failed":             {answers(200, "application/x-ndjson", `{"error": "disk full"}`), job.Transient, "disk full"},
		"stream refused":            {answers(200, "application/x-ndjson", `{"error": "bad", "permanent": true}`+"\n"+`{"result": 1}`), job.Permanent, "bad"},
	} {
		t.Run(name, func(t *testing.T) {
			var h heard
			result, err := service(t, HTTP{}, tc.serve)(t.Context(), attempt, nil, &h)
			if err == nil || result != nil {
				t.Fatalf("got %v, %v; want an error only", result, err)
			}
			if got := job.Classify(err); got != tc.want {
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
	const usual = 48 * time.Hour // the policy's pause, longer than any that a server may ask for
	for name, tc := range map[string]struct {
		status   int
		header   string
		min, max time.Duration
	}{
		"seconds":        {503, "120", 2 * time.Minute, 2 * time.Minute},
		"too many":       {429, "7", 7 * time.Second, 7 * time.Second},
		"zero":           {429, "0", 1, time.Second},
		"date":           {503, time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), 59 * time.Minute, time.Hour},
		"past date":      {503, time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), 1, time.Second},
		"years":          {503, "400000000", maxRetryAfter, maxRetryAfter},
		"nonsense":       {503, "soon", usual, usual},
		"negative":       {503, "-5", usual, usual},
		"missing":        {503, "", usual, usual},
		"another status": {500, "120", usual, usual},
	} {
		t.Run(name, func(t *testing.T) {
			var h heard
			_, err := service(t, HTTP{}, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", tc.header)
				w.WriteHeader(tc.status)
			})(t.Context(), attempt, nil, &h)
			pause := job.PauseAfter(err, job.RetryPolicy{Base: usual, Max: usual, Jitter: -1}, 1)
			if pause < tc.min || pause > tc.max {
				t.Errorf("retry after %s, want %s to %s (%v)", pause, tc.min, tc.max, err)
			}
			if job.Classify(err) != job.Transient {
				t.Errorf("%v is not transient", err)
			}
		})
	}
}

// stepper lets a server go on only when a report has arrived.
type stepper struct {
	*heard
	step chan<- struct{}
}

func (s stepper) Progress(percent float64, message string) {
	s.heard.Progress(percent, message)
	s.step <- struct{}{}
}

func TestHTTPStream(t *testing.T) {
	step := make(chan struct{})
	var h heard
	run := service(t, HTTP{}, func(w http.ResponseWriter, r *http.Request) {
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
	result, err := run(t.Context(), attempt, nil, stepper{&h, step})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]any{true}, result); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"0 step", "50 step", "100 step"}, h.progress); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	if len(h.outputs) != 1 || !strings.Contains(h.logged(), "a log line") {
		t.Errorf("outputs %v, log %s", h.outputs, h.logged())
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
			timer := time.AfterFunc(100*time.Millisecond, func() { cancel(job.ErrStopped) })
			defer timer.Stop()
			if _, err := service(t, HTTP{}, drained(serve))(ctx, attempt, nil, &h); !errors.Is(err, job.ErrStopped) {
				t.Errorf("canceled: error = %v, want ErrStopped", err)
			}
			_, err := service(t, HTTP{Timeout: 100 * time.Millisecond}, drained(serve))(t.Context(), attempt, nil, &h)
			if !errors.Is(err, errHTTPTimeout) || job.Classify(err) != job.Transient {
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
	run, err := NewHTTP(HTTP{URL: strings.Replace(s.URL, "http://", "http://user:secret@", 1) + "?token=secret"})
	if err != nil {
		t.Fatal(err)
	}
	var h heard
	_, err = run(t.Context(), attempt, nil, &h)
	if err == nil || job.Classify(err) != job.Transient || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("error = %v, want a transient refusal", err)
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("error shows secrets: %v", err)
	}
}

func TestNewHTTPRefuses(t *testing.T) {
	for name, cfg := range map[string]HTTP{
		"no URL":         {},
		"no scheme":      {URL: "localhost:80/x"},
		"other scheme":   {URL: "ftp://secret@host/?token=secret"},
		"only a user":    {URL: "user:secret@host"},
		"a header line":  {URL: "http://host/", Headers: map[string]string{"Authorization: Bearer secret": ""}},
		"no host":        {URL: "http:///x"},
		"broken":         {URL: "http://user:secret@host:port\x00/"},
		"method":         {URL: "http://host/", Method: "GET"},
		"header name":    {URL: "http://host/", Headers: map[string]string{"a b": "x"}},
		"header newline": {URL: "http://host/", Headers: map[string]string{"a": "secret\nx"}},
	} {
		_, err := NewHTTP(cfg)
		if err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error shows a secret: %v", name, err)
		}
	}
}
