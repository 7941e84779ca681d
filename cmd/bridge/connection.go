package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/spf13/pflag"
)

// connection says where the realtime server is and as whom to connect.
type connection struct {
	url, origin      string
	key, secret, sid string
}

func (c *connection) addFlags(f *pflag.FlagSet) {
	f.StringVar(&c.url, "url", "", "realtime server (default: http://127.0.0.1 and the bench's socketio_port)")
	f.StringVar(&c.origin, "origin", "", "the site's URL as browsers know it (default: that of --url)")
	f.StringVar(&c.key, "api-key", "", "API key of the user to watch as (default: $BRIDGE_API_KEY)")
	f.StringVar(&c.secret, "api-secret", "", "its secret; the environment variable keeps it out of the process list (default: $BRIDGE_API_SECRET)")
	f.StringVar(&c.sid, "sid", "", "session id instead of an API key (default: $BRIDGE_SID)")
}

// realtimeURL is the bench's own realtime server.
func realtimeURL(b *frappe.Bench) string {
	port := b.Config().Int("socketio_port", 9000)
	if text := os.Getenv("FRAPPE_SOCKETIO_PORT"); text != "" {
		return "http://127.0.0.1:" + text
	}
	return fmt.Sprintf("http://127.0.0.1:%d", port)
}

func (c connection) config(b *frappe.Bench, site string) (frappe.SocketIOConfig, error) {
	cfg := frappe.SocketIOConfig{URL: c.url, Site: site, Origin: c.origin, Header: http.Header{}}
	if cfg.URL == "" {
		cfg.URL = realtimeURL(b)
	}
	key, secret, sid := orEnv(c.key, "BRIDGE_API_KEY"), orEnv(c.secret, "BRIDGE_API_SECRET"), orEnv(c.sid, "BRIDGE_SID")
	switch {
	case c.sid != "" || key == "" && sid != "":
		cfg.Header.Set("Cookie", "sid="+sid)
	case key != "" && secret != "":
		cfg.Header.Set("Authorization", "token "+key+":"+secret)
		// Most versions want a Cookie header beside it; one without a sid leaves
		// the decision to the key.
		cfg.Header.Set("Cookie", "system_user=yes")
	case key != "" || secret != "":
		return cfg, usage("an API key and its secret belong together: set $BRIDGE_API_KEY and $BRIDGE_API_SECRET")
	default:
		return cfg, usage("as whom? Set $BRIDGE_API_KEY and $BRIDGE_API_SECRET (User > Settings > API Access in the desk), or pass --sid")
	}
	if strings.ContainsAny(key+secret+sid, "\r\n;") {
		return cfg, usage("the credentials contain a line break or a semicolon")
	}
	return cfg, nil
}

func orEnv(value, variable string) string {
	if value != "" {
		return value
	}
	return os.Getenv(variable)
}
