package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/socketio"
)

// lookAtServers finds out whether the site's web server and the realtime server answer.
func (b *bed) lookAtServers(ctx context.Context) {
	if _, err := b.get(ctx, user{}, "/api/method/ping", nil); err != nil && !answered(err) {
		b.missing[web] = fmt.Sprintf("no web server at %s: %v", b.siteURL(), err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.socketURL()+"/socket.io/?EIO=4&transport=polling", nil)
	if err == nil {
		var response *http.Response
		if response, err = b.http.Do(request); err == nil {
			err = response.Body.Close()
		}
	}
	if err != nil {
		b.missing[socket] = fmt.Sprintf("no realtime server: %v", err)
	}
}

// siteURL is the site as browsers know it.
func (b *bed) siteURL() string {
	site, err := b.frappe.Site(b.site)
	if err != nil {
		return b.url // the site was there a moment ago
	}
	common := b.frappe.Config()
	return strings.TrimSuffix(cmp.Or(b.url, site.Config().String("host_name", ""),
		"http://"+b.site+":"+strconv.Itoa(common.Int("webserver_port", 8000))), "/")
}

func (b *bed) socketURL() string {
	return "http://127.0.0.1:" + strconv.Itoa(b.frappe.Config().Int("socketio_port", 9000))
}

// statusError is an answer of the site that is no success.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return fmt.Sprintf("HTTP %d: %s", e.status, e.text) }

func answered(err error) bool {
	var status *statusError
	return errors.As(err, &status)
}

func isDenied(err error) bool {
	var status *statusError
	return errors.As(err, &status) && (status.status == http.StatusForbidden || status.status == http.StatusNotFound)
}

func (b *bed) get(ctx context.Context, as user, path string, query values) (json.RawMessage, error) {
	return b.ask(ctx, as, http.MethodGet, path, query)
}

func (b *bed) post(ctx context.Context, as user, path string, body values) (json.RawMessage, error) {
	return b.ask(ctx, as, http.MethodPost, path, body)
}

// ask calls the site as a user, nobody without a key, and returns what the answer has as message or data.
func (b *bed) ask(ctx context.Context, as user, method, path string, args values) (json.RawMessage, error) {
	site := b.siteURL()
	target := site
	if b.url == "" && !strings.Contains(site, "//127.0.0.1") && strings.HasPrefix(site, "http://"+b.site+":") {
		// The bench's own web server is on this machine, whatever the site's name resolves to.
		target = strings.Replace(site, b.site, "127.0.0.1", 1)
	}
	form := url.Values{}
	for key, value := range args {
		text, isText := value.(string)
		if !isText {
			encoded, err := json.Marshal(value)
			if err != nil {
				return nil, err
			}
			text = string(encoded)
		}
		form.Set(key, text)
	}
	var body io.Reader
	target += (&url.URL{Path: path}).EscapedPath()
	if method == http.MethodGet {
		target += "?" + form.Encode()
	} else {
		body = bytes.NewBufferString(form.Encode())
	}
	request, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	parsed, err := url.Parse(site)
	if err != nil {
		return nil, err
	}
	request.Host = parsed.Host
	request.Header.Set("X-Frappe-Site-Name", b.site)
	request.Header.Set("Accept", "application/json")
	if body != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if as.key != "" {
		request.Header.Set("Authorization", as.token())
	}
	return b.send(request)
}

func (b *bed) send(request *http.Request) (json.RawMessage, error) {
	response, err := b.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 8<<20))
	if err != nil {
		return nil, err
	}
	var answer struct {
		Message, Data json.RawMessage
		Type          string `json:"exc_type"`
	}
	_ = json.Unmarshal(text, &answer) // an error page is no JSON
	if response.StatusCode/100 != 2 { // a deletion is accepted: 202
		return nil, &statusError{response.StatusCode, cmp.Or(answer.Type, string(text[:min(len(text), 200)]))}
	}
	if answer.Data != nil {
		return answer.Data, nil
	}
	return answer.Message, nil
}

// connect joins the site's realtime as a user, as a browser would.
func (b *bed) connect(ctx context.Context, as user) (*socketio.Conn, error) {
	return socketio.Dial(ctx, socketio.Config{
		URL: b.socketURL(), Site: b.site, Origin: b.siteURL(), Timeout: 15 * time.Second,
		// Frappe 15 wants a cookie beside the key.
		Header: http.Header{"Authorization": {as.token()}, "Cookie": {"system_user=yes"}},
	})
}
