package socketio

import (
	"cmp"
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

// Config says where to connect and as whom.
type Config struct {
	// URL is the realtime server, http or https: the site's URL behind a proxy, else "http://127.0.0.1:9000". Required.
	URL  string
	Site string // the site's directory name: the namespace. Required.
	// Header has Cookie, which most versions demand, and Authorization. A missing X-Frappe-Site-Name is added.
	Header http.Header
	// Origin is where the realtime server reaches the site, as a browser there would name it; the Host header follows
	// it, since both must agree. Default: URL.
	Origin  string
	Timeout time.Duration // for the whole of connecting. Default: 15 s.
}

// ConnectError says why a connection was refused.
type ConnectError struct {
	URL       string // the realtime server, without user, password and query
	Namespace string // set when the server took the connection and refused the site
	Status    int    // the HTTP status of a refused WebSocket handshake, else 0
	Message   string // the server's reason, e.g. "Unauthorized" or "Invalid namespace"
}

func (e *ConnectError) Error() string {
	if e.Namespace != "" {
		return fmt.Sprintf("connect to %s: namespace %s was refused: %s", e.URL, e.Namespace, e.Message)
	}
	return fmt.Sprintf("connect to %s: HTTP %d %s: %s", e.URL, e.Status, http.StatusText(e.Status), e.Message)
}

func (cfg Config) handshake() (target *url.URL, host string, header http.Header, err error) {
	if cfg.Site == "" || strings.ContainsAny(cfg.Site, "/,?") {
		return nil, "", nil, fmt.Errorf("connect to a realtime server: %q is not the name of a site", cfg.Site)
	}
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, "", nil, errors.New("connect to a realtime server: the URL is not like http://host:port or https://host")
	}
	header = http.Header{}
	maps.Copy(header, cfg.Header)
	origin := cmp.Or(cfg.Origin, u.Scheme+"://"+u.Host)
	o, err := url.Parse(origin)
	if err != nil || o.Host == "" {
		return nil, "", nil, errors.New("connect to a realtime server: the origin is not like http://host:port or https://host")
	}
	header.Set("Origin", origin)
	if header.Get("X-Frappe-Site-Name") == "" {
		header.Set("X-Frappe-Site-Name", cfg.Site)
	}
	target = u.JoinPath("socket.io/")
	target.RawQuery = "EIO=4&transport=websocket"
	return target, o.Host, header, nil
}

func refusalText(res *http.Response) string {
	if to := res.Header.Get("Location"); to != "" {
		if u, err := url.Parse(to); err == nil {
			to = (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String() // the rest may be a secret
			return fmt.Sprintf("it redirects to %q, which is not followed", to)
		}
		return "it redirects, which is not followed"
	}
	// What can be read of the reason is enough.
	body, _ := io.ReadAll(io.LimitReader(res.Body, 1024))
	var reason struct{ Message string }
	if json.Unmarshal(body, &reason) == nil && reason.Message != "" {
		return reason.Message
	}
	text := strings.Join(strings.Fields(strings.ToValidUTF8(string(body), "\uFFFD")), " ")
	if text == "" {
		return "no reason given"
	}
	return text
}
