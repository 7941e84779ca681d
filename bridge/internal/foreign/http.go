package foreign

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
	"github.com/opensoft/dartwing-bridge/bridge/internal/wait"
)

const (
	// maxAnswer bounds the body of an answer; of a failed one only the start is read, for the error.
	maxAnswer      = 1 << 20
	maxErrorAnswer = 8 << 10
	maxErrorText   = 500
	// maxRetryAfter keeps a server's mistake from putting a job off for years.
	maxRetryAfter = 24 * time.Hour
)

// HTTP is a handler that calls a URL per job. Package bridge publishes it as HTTPConfig, with the protocol.
type HTTP struct {
	// URL is where the service listens, http or https. Required.
	URL string
	// Method is POST, PUT or PATCH. Default: POST.
	Method string
	// Headers are added to the request, e.g. Authorization.
	Headers map[string]string
	// Timeout is the longest one call may take; the job's own timeout holds anyway. Default: none.
	Timeout time.Duration
}

// NewHTTP checks cfg.
func NewHTTP(cfg HTTP) (Call, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		// It is not shown: user, query or the whole of it may be a secret.
		return nil, errors.New(`http: "url" is not like http://host/… or https://host/…`)
	}
	cfg.Method = cmp.Or(cfg.Method, http.MethodPost)
	if !slices.Contains([]string{http.MethodPost, http.MethodPut, http.MethodPatch}, cfg.Method) {
		return nil, fmt.Errorf("http: method %q: want POST, PUT or PATCH", cfg.Method)
	}
	h := &httpHandler{cfg: cfg, place: u.Scheme + "://" + u.Host + u.EscapedPath()}
	// Building a request checks the rest of the configuration.
	if _, err := h.request(context.Background(), job.Info{}, nil); err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	// All calls go to one host; the default of two would make most of them connect anew.
	transport.MaxIdleConnsPerHost = transport.MaxIdleConns
	h.client = &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return h.run, nil
}

type httpHandler struct {
	cfg    HTTP
	place  string // the URL without user, password and query, for errors
	client *http.Client
}

var errHTTPTimeout = errors.New("the service didn't finish within the configured timeout")

func (h *httpHandler) run(ctx context.Context, info job.Info, params json.RawMessage, r Reporter) (any, error) {
	if h.cfg.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, h.cfg.Timeout, errHTTPTimeout)
		defer cancel()
	}
	req, err := h.request(ctx, info, params)
	if err != nil {
		return nil, permanent(err)
	}
	res, err := h.call(req)
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
		return h.answer(ctx, r, res)
	}
	return nil, nil
}

// call makes the request, and at once again on a new connection if a kept one ended before any byte of an answer: a
// service that is idle closes its connections (gunicorn after 2 s, uvicorn after 5 s), just as a request arrives by chance.
// It may have begun to work it; so may every job that is delivered again.
func (h *httpHandler) call(req *http.Request) (*http.Response, error) {
	for {
		var kept, answered atomic.Bool
		trace := &httptrace.ClientTrace{
			GotConn:              func(c httptrace.GotConnInfo) { kept.Store(c.Reused) },
			GotFirstResponseByte: func() { answered.Store(true) },
		}
		res, err := h.client.Do(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
		if err == nil || !kept.Load() || answered.Load() || req.Context().Err() != nil {
			return res, err
		}
		h.client.CloseIdleConnections()
		if req.Body, err = req.GetBody(); err != nil {
			return nil, err
		}
	}
}

func (h *httpHandler) request(ctx context.Context, r job.Info, params json.RawMessage) (*http.Request, error) {
	content := map[string]any{
		"job_id": r.ID, "name": r.Name, "job_type": r.JobType, "site": r.Site, "user": r.User,
		"organization": r.Organization, "attempt": r.Attempt,
		"timeout_seconds": r.Timeout.Seconds(), "parameters": orEmpty(params),
	}
	if len(r.Lossy) > 0 {
		content["lossy"] = r.Lossy
	}
	var (
		body []byte
		err  error
	)
	wait.Large(len(params), func() { body, err = job.JSON(content) })
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
			// A whole line, "Authorization: Bearer …", may have been taken for a name.
			return nil, fmt.Errorf("http: the header %q: a name must be without blanks and colons, a value without line ends", upTo(name, " :\r\n"))
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
		err = fmt.Errorf("%w of %s", errHTTPTimeout, h.cfg.Timeout)
	}
	// url.Error would show the whole URL.
	if called, ok := errors.AsType[*url.Error](err); ok {
		err = called.Err
	}
	return transient(fmt.Errorf("call %s: %w", h.place, err))
}

// refused is an answer other than 2xx. HTTPError classifies itself; a redirect it can't know.
func (h *httpHandler) refused(res *http.Response) error {
	// The answer's text is a courtesy: what can be read of it is enough.
	body, _ := io.ReadAll(io.LimitReader(res.Body, maxErrorAnswer))
	err := fmt.Errorf("call %s: %w", h.place, &job.HTTPError{Status: res.StatusCode, Message: errorText(body)})
	switch {
	case res.StatusCode < 400:
		return permanent(fmt.Errorf("%w: redirects are not followed, configure the URL it leads to", err))
	case res.StatusCode == http.StatusTooManyRequests, res.StatusCode == http.StatusServiceUnavailable:
		if d, ok := retryAfter(res.Header.Get("Retry-After"), time.Now()); ok {
			return job.Mark(err, job.Transient, max(d, time.Nanosecond))
		}
	}
	return err
}

// answer reads {"result": …, "output": …}.
func (h *httpHandler) answer(ctx context.Context, r Reporter, res *http.Response) (any, error) {
	var body bytes.Buffer
	if n := res.ContentLength; n > 0 {
		body.Grow(int(min(n, maxAnswer)) + bytes.MinRead)
	}
	_, err := body.ReadFrom(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, h.broken(ctx, err)
	case body.Len() > maxAnswer:
		return nil, permanent(fmt.Errorf("call %s: the answer is longer than %d bytes", h.place, maxAnswer))
	case len(bytes.TrimSpace(body.Bytes())) == 0:
		return nil, nil
	}
	var (
		rep    report
		result any
	)
	wait.Large(body.Len(), func() {
		if err = json.Unmarshal(body.Bytes(), &rep); err == nil {
			result = decodeResult(rep.Result)
		}
	})
	if err != nil {
		return nil, permanent(fmt.Errorf(`call %s: the answer is not an object like {"result": …, "output": "…"}: %w`, h.place, err))
	}
	if rep.Output != nil {
		r.SetOutput(*rep.Output)
	}
	if rep.Submit != nil {
		reports := &reportReader{r: r, ctx: ctx}
		reports.submit(rep.Submit)
		if reports.submitAll(); reports.away != nil {
			return nil, transient(fmt.Errorf("call %s: %w", h.place, reports.away))
		}
	}
	return ended(result, rep.Snooze)
}

// stream passes reports on while they come.
func (h *httpHandler) stream(ctx context.Context, r Reporter, body io.Reader) (any, error) {
	reports := &reportReader{r: r, ctx: ctx, takesErrors: true}
	if _, err := io.Copy(reports, body); err != nil {
		return nil, h.broken(ctx, err)
	}
	reports.end()
	if f := reports.failure; f != nil {
		err := fmt.Errorf("call %s: %s", h.place, *f.Error)
		if f.Permanent {
			return nil, permanent(err)
		}
		return nil, transient(err)
	}
	if reports.lost != nil {
		return nil, permanent(fmt.Errorf("call %s: %w", h.place, reports.lost))
	}
	if reports.away != nil {
		return nil, transient(fmt.Errorf("call %s: %w", h.place, reports.away))
	}
	return ended(reports.result, reports.snooze)
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
