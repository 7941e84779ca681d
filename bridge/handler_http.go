package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Step 4 for services: a handler behind a URL, called once per job.

const (
	// maxAnswer bounds the body of an answer; of a failed one only the start is
	// read, for the error.
	maxAnswer      = 1 << 20
	maxErrorAnswer = 8 << 10
	maxErrorText   = 500
	// maxRetryAfter keeps a server's mistake from putting a job off for years.
	maxRetryAfter = 24 * time.Hour
)

// HTTPConfig is a handler that calls a URL per job.
//
// The request's body is JSON: job_id, name, job_type, site, user, organization,
// attempt, timeout_seconds (0 for none) and parameters. An answer of 2xx is
// success; as application/json it may hold {"result": …, "output": "…"}. As
// application/x-ndjson it is read line by line while it comes, with the reports
// of ExecConfig and, since the status is already out,
// {"error": "…", "permanent": true} for a failure.
//
// 429 and 503 with Retry-After (seconds or a date, at most a day) set the time
// of the next attempt. 408, 425, 429, 5xx, a failed connection and an answer
// that breaks off are transient; other 4xx, a redirect (never followed) and an
// answer of more than 1 MiB or of broken JSON are permanent.
type HTTPConfig struct {
	// URL is where the service listens, http or https. Required.
	URL string `json:"url"`
	// Method is POST, PUT or PATCH. Default: POST.
	Method string `json:"method"`
	// Headers are added to the request, e.g. Authorization.
	Headers map[string]string `json:"headers"`
	// Timeout is the longest one call may take; the job's own timeout holds
	// anyway. Default: none.
	Timeout Seconds `json:"timeout"`
}

func newHTTPHandler(cfg HTTPConfig) (func(ctx context.Context, r runRequest) (any, error), error) {
	u, err := url.Parse(cfg.URL)
	switch {
	case err != nil:
		// The parser's error would show the whole URL, passwords included.
		return nil, errors.New(`http: "url" can't be parsed`)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, fmt.Errorf(`http: "url" %s: want http://host/… or https://host/…`, u.Redacted())
	}
	switch cfg.Method {
	case "":
		cfg.Method = http.MethodPost
	case http.MethodPost, http.MethodPut, http.MethodPatch:
	default:
		return nil, fmt.Errorf("http: method %q: want POST, PUT or PATCH", cfg.Method)
	}
	h := &httpHandler{cfg: cfg, place: u.Scheme + "://" + u.Host + u.EscapedPath()}
	// Building a request checks the rest of the configuration.
	if _, err := h.request(context.Background(), runRequest{}); err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	// All calls go to one host; the default of two would make most of them
	// connect anew.
	transport.MaxIdleConnsPerHost = transport.MaxIdleConns
	h.client = &http.Client{
		Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
	return h.run, nil
}

type httpHandler struct {
	cfg    HTTPConfig
	place  string // the URL without user, password and query, for errors
	client *http.Client
}

var errHTTPTimeout = errors.New("the service didn't finish within the configured timeout")

func (h *httpHandler) run(ctx context.Context, r runRequest) (any, error) {
	if h.cfg.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, time.Duration(h.cfg.Timeout), errHTTPTimeout)
		defer cancel()
	}
	req, err := h.request(ctx, r)
	if err != nil {
		return nil, Permanent(err)
	}
	res, err := h.client.Do(req)
	if err != nil {
		return nil, h.broken(ctx, err)
	}
	// Nothing is lost when closing a body that was read fails.
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return nil, h.refused(res)
	}
	mediaType, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	switch mediaType {
	case "application/x-ndjson":
		return h.stream(ctx, r, res.Body)
	case "application/json":
		return h.answer(ctx, r, res.Body)
	}
	return nil, nil
}

func (h *httpHandler) request(ctx context.Context, r runRequest) (*http.Request, error) {
	body, err := json.Marshal(map[string]any{
		"job_id": r.JobID, "name": r.Name, "job_type": r.JobType, "site": r.Site, "user": r.User,
		"organization": r.Organization, "attempt": r.Attempt,
		"timeout_seconds": r.Timeout.Seconds(), "parameters": r.params(),
	})
	if err != nil {
		return nil, fmt.Errorf("encode the request for %s: %w", h.place, err)
	}
	req, err := http.NewRequestWithContext(ctx, h.cfg.Method, h.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("build the request for %s: %w", h.place, err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, application/x-ndjson")
	for name, value := range h.cfg.Headers {
		if name == "" || strings.ContainsAny(name, " :\r\n") || strings.ContainsAny(value, "\r\n") {
			return nil, fmt.Errorf("http: %q is no header", name)
		}
		if strings.EqualFold(name, "Host") {
			req.Host = value
			continue
		}
		req.Header.Set(name, value)
	}
	return req, nil
}

// broken is an exchange that ended without a whole answer.
func (h *httpHandler) broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		if cause := context.Cause(ctx); !errors.Is(cause, errHTTPTimeout) {
			return fmt.Errorf("call %s: %w", h.place, cause)
		}
		err = fmt.Errorf("%w of %s", errHTTPTimeout, time.Duration(h.cfg.Timeout))
	}
	// url.Error would show the whole URL.
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	return Transient(fmt.Errorf("call %s: %w", h.place, err))
}

// refused is an answer other than 2xx. HTTPError classifies itself; a redirect
// it can't know.
func (h *httpHandler) refused(res *http.Response) error {
	// The answer's text is a courtesy: what can be read of it is enough.
	body, _ := io.ReadAll(io.LimitReader(res.Body, maxErrorAnswer))
	err := fmt.Errorf("call %s: %w", h.place, &HTTPError{Status: res.StatusCode, Message: errorText(body)})
	switch {
	case res.StatusCode < 400:
		return Permanent(fmt.Errorf("%w: redirects are not followed, configure the URL it leads to", err))
	case res.StatusCode == http.StatusTooManyRequests, res.StatusCode == http.StatusServiceUnavailable:
		if d, ok := retryAfter(res.Header.Get("Retry-After"), time.Now()); ok {
			return RetryAfter(d, err)
		}
	}
	return err
}

// answer reads {"result": …, "output": …}.
func (h *httpHandler) answer(ctx context.Context, r runRequest, body io.Reader) (any, error) {
	b, err := io.ReadAll(io.LimitReader(body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, h.broken(ctx, err)
	case len(b) > maxAnswer:
		return nil, Permanent(fmt.Errorf("call %s: the answer is longer than %d bytes", h.place, maxAnswer))
	case len(bytes.TrimSpace(b)) == 0:
		return nil, nil
	}
	var rep report
	if err := json.Unmarshal(b, &rep); err != nil {
		return nil, Permanent(fmt.Errorf(`call %s: the answer is no object like {"result": …, "output": "…"}: %w`, h.place, err))
	}
	if rep.Output != nil {
		r.SetOutput(*rep.Output)
	}
	if rep.Result == nil {
		return nil, nil
	}
	return decodeResult(rep.Result), nil
}

// stream passes reports on while they come.
func (h *httpHandler) stream(ctx context.Context, r runRequest, body io.Reader) (any, error) {
	reports := newReportReader(r)
	reports.takesErrors = true
	if _, err := io.Copy(reports, body); err != nil {
		return nil, h.broken(ctx, err)
	}
	reports.finish()
	if f := reports.failure; f != nil {
		err := fmt.Errorf("call %s: %s", h.place, *f.Error)
		if f.Permanent {
			return nil, Permanent(err)
		}
		return nil, Transient(err)
	}
	return reports.result, nil
}

// retryAfter reads the header's two forms, RFC 9110 10.2.3.
func retryAfter(value string, now time.Time) (time.Duration, bool) {
	value = strings.TrimSpace(value)
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter), true
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	return min(max(0, at.Sub(now)), maxRetryAfter), true
}

// errorText finds what to tell a person in the body of a failed answer.
func errorText(body []byte) string {
	text := string(body)
	var object map[string]any
	if json.Unmarshal(body, &object) == nil {
		for _, key := range []string{"error", "message", "detail", "exception"} {
			if s, ok := object[key].(string); ok && s != "" {
				text = s
				break
			}
		}
	}
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "\uFFFD")), " ")
	if text == "" {
		return "no text in the answer"
	}
	if len(text) > maxErrorText {
		text = strings.ToValidUTF8(text[:maxErrorText], "") + "…"
	}
	return text
}
