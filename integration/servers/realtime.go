package servers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// RealtimeConfig says what a realtime server connects to.
type RealtimeConfig struct {
	// RedisURL is the bench's redis_queue, where the channel events is.
	RedisURL string
	// SitesURL is where the server asks sites about users and permissions; the site is named in X-Frappe-Site-Name.
	// Empty: the Origin of the client, as the real server does.
	SitesURL string
	// DefaultSite is the site of connections to localhost that name none.
	DefaultSite string
	// Major is the Frappe version to imitate: 15, 16 or 17. Default 15.
	Major int
}

// Realtime is a private Node server that speaks Frappe's Socket.IO protocol. What the real one does with a malformed
// message it does too: it exits, which Running tells.
type Realtime struct {
	URL string // "http://127.0.0.1:port"

	p *process
}

// StartRealtime starts the server of testdata/realtime and returns when it listens and is subscribed.
func StartRealtime(ctx context.Context, cfg RealtimeConfig) (*Realtime, error) {
	dir, node, err := nodeModules(ctx)
	if err != nil {
		return nil, err
	}
	if cfg.Major == 0 {
		cfg.Major = 15
	}
	var lastErr error
	for range startAttempts {
		rt, err := startRealtimeOnce(ctx, node, dir, cfg)
		if err == nil {
			return rt, nil
		}
		lastErr = err
		if ctx.Err() != nil || !strings.Contains(err.Error(), "EADDRINUSE") {
			break
		}
	}
	return nil, lastErr
}

func startRealtimeOnce(ctx context.Context, node, dir string, cfg RealtimeConfig) (*Realtime, error) {
	p, err := newProcess("realtime", node)
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, errors.Join(err, p.remove())
	}
	p.args = []string{filepath.Join(dir, "server.mjs")}
	p.env = []string{
		"FRAPPE_REDIS_QUEUE=" + cfg.RedisURL, "FRAPPE_SOCKETIO_PORT=" + strconv.Itoa(port),
		"FRAPPE_SITE=" + cfg.DefaultSite, "REALTIME_HOST=127.0.0.1",
		"REALTIME_FRAPPE_MAJOR=" + strconv.Itoa(cfg.Major), "REALTIME_SITES_URL=" + cfg.SitesURL,
	}
	rt := &Realtime{URL: fmt.Sprintf("http://127.0.0.1:%d", port), p: p}
	if err := p.start(ctx, rt.ready); err != nil {
		return nil, errors.Join(err, p.remove())
	}
	return rt, nil
}

// ready asks for the process number, to know the child from another server on its port.
func (rt *Realtime) ready(ctx context.Context) error {
	var health struct {
		PID int `json:"pid"`
	}
	if err := getJSON(ctx, rt.URL+"/health", &health); err != nil {
		return err
	}
	if health.PID != rt.p.pid() {
		return fmt.Errorf("%s is answered by process %d", rt.URL, health.PID)
	}
	return nil
}

func getJSON(ctx context.Context, url string, v any) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	// A kept connection would be a goroutine that outlives the call.
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(v)
}

// Running reports whether the server lives. One that met a malformed message does not.
func (rt *Realtime) Running() bool { return rt.p.running() }

// Log is the end of what the server printed.
func (rt *Realtime) Log() string { return rt.p.logTail() }

// Stop ends the server. Calling it again does nothing.
func (rt *Realtime) Stop() error { return rt.p.remove() }

// Kill ends the server at once, as a crash would. Restart brings it back.
func (rt *Realtime) Kill() { rt.p.kill() }

// Restart ends the server if it runs, and starts it again on the same port.
func (rt *Realtime) Restart(ctx context.Context) error {
	rt.p.terminate(ctx)
	return rt.p.start(ctx, rt.ready)
}

// ClientScript is the file of the client for browsers that belongs to this server.
func (rt *Realtime) ClientScript() string {
	return filepath.Join(filepath.Dir(rt.p.args[0]), "node_modules", "socket.io-client", "dist", "socket.io.js")
}
