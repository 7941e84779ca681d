package documents

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// restSite is a site as its REST API has it.
type restSite struct {
	url, authorization string
	client             http.Client
}

// restTimeout bounds one request; a DocType of a site that is busy takes seconds.
const restTimeout = 2 * time.Minute

// OverREST opens a site by its URL with the API key of Administrator.
func OverREST(ctx context.Context, url, key, secret string) (Site, error) {
	s := &restSite{strings.TrimRight(url, "/"), "token " + key + ":" + secret, http.Client{Timeout: restTimeout}}
	var user string
	if err := s.call(ctx, http.MethodGet, "/api/method/frappe.auth.get_logged_user", nil, &user); err != nil {
		return nil, err
	}
	if user != "Administrator" {
		return nil, fmt.Errorf("the API key is that of %s; documents are installed with that of Administrator", user)
	}
	return s, nil
}

// errNoDocument is how a site answers about what it doesn't have.
var errNoDocument = errors.New("there is no such document")

// call sends a request and reads data or message of its answer.
func (s *restSite) call(ctx context.Context, method, path string, body any, result any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", s.authorization)
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Content-Type", "application/json")
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 64<<20))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	var read struct {
		Data, Message json.RawMessage
		ExcType       string `json:"exc_type"`
		Exception     string
	}
	jsonErr := json.Unmarshal(answer, &read)
	switch {
	case response.StatusCode >= 400 && (read.ExcType == "DoesNotExistError" || read.ExcType == "ImportError"):
		return errNoDocument // the one for a document, the other, with 500, for a DocType
	case response.StatusCode == http.StatusServiceUnavailable:
		return fmt.Errorf("%s answered 503: the site is in maintenance mode or away; run this again when it is over", s.url)
	case response.StatusCode >= 400 || jsonErr != nil:
		said := read.Exception
		if said == "" {
			said = fmt.Sprintf("%.300s", strings.TrimSpace(string(answer)))
		}
		return fmt.Errorf("%s %s answered %d: %s", method, s.url+path, response.StatusCode, said)
	}
	if result == nil {
		return nil
	}
	if read.Data == nil {
		read.Data = read.Message
	}
	return json.Unmarshal(read.Data, result)
}

func resource(parts ...string) string {
	path := "/api/resource"
	for _, part := range parts {
		path += "/" + url.PathEscape(part)
	}
	return path
}

func (s *restSite) Get(ctx context.Context, doctype, name string) (fields map[string]any, err error) {
	err = s.call(ctx, http.MethodGet, resource(doctype, name), nil, &fields)
	if errors.Is(err, errNoDocument) {
		return nil, nil
	}
	return fields, err
}

func (s *restSite) Bring(ctx context.Context, fields map[string]any) (map[string]any, error) {
	doctype, name := fields["doctype"].(string), fields["name"].(string)
	now, err := s.Get(ctx, doctype, name)
	if err != nil {
		return nil, err
	}
	if now != nil {
		fields = maps.Clone(fields)
		delete(fields, "name")
		return s.Save(ctx, doctype, name, fields)
	}
	err = s.call(ctx, http.MethodPost, resource(doctype), fields, &now)
	return now, err
}

func (s *restSite) Save(ctx context.Context, doctype, name string, fields map[string]any) (now map[string]any, err error) {
	err = s.call(ctx, http.MethodPut, resource(doctype, name), fields, &now)
	return now, err
}

func (s *restSite) Delete(ctx context.Context, doctype, name string) error {
	err := s.call(ctx, http.MethodDelete, resource(doctype, name), nil, nil)
	if errors.Is(err, errNoDocument) {
		return nil
	}
	return err
}

func (s *restSite) Count(ctx context.Context, doctype string) (n int, err error) {
	err = s.call(ctx, http.MethodGet, "/api/method/frappe.client.get_count?doctype="+url.QueryEscape(doctype), nil, &n)
	if errors.Is(err, errNoDocument) {
		return 0, nil
	}
	return n, err
}

// Forget leaves it to Frappe, whose documents clear what they concern.
func (s *restSite) Forget(context.Context) error { return nil }

func (s *restSite) Close() error {
	s.client.CloseIdleConnections()
	return nil
}
