package watch

import (
	"cmp"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/socketio"
)

// Connection says where the realtime server is and as whom to connect.
type Connection struct {
	URL         string // of the server; default: [ServerURL]
	Key, Secret string // of an API key; default: $BRIDGE_API_KEY and $BRIDGE_API_SECRET

	origin, sid string
}

// AddFlags adds the flags of a connection.
func (c *Connection) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&c.URL, "url", "", "realtime server (default: http://127.0.0.1 and the bench's socketio_port)")
	f.StringVar(&c.origin, "origin", "", "where the realtime server reaches the site (default: that of --url, else the site's host_name or its name and webserver_port)")
	f.StringVar(&c.Key, "api-key", "", "API key of the user to watch as (default: $BRIDGE_API_KEY)")
	f.StringVar(&c.Secret, "api-secret", "", "its secret; the environment variable keeps it out of the process list (default: $BRIDGE_API_SECRET)")
	f.StringVar(&c.sid, "sid", "", "session id instead of an API key (default: $BRIDGE_SID)")
}

// ServerURL is the bench's own realtime server.
func ServerURL(b *frappe.Bench) string {
	return "http://127.0.0.1:" + cmp.Or(os.Getenv("FRAPPE_SOCKETIO_PORT"), strconv.Itoa(b.Config().Int("socketio_port", 9000)))
}

// SiteURL is where the realtime server of a bench reaches a site, as Frappe's get_url has it.
func SiteURL(b *frappe.Bench, site string) string {
	config := b.Config()
	if s, err := b.Site(site); err == nil {
		config = s.Config()
	}
	if host := strings.TrimRight(config.String("host_name", ""), "/"); host != "" {
		if !strings.Contains(host, "://") {
			host = "http://" + host
		}
		return host
	}
	return "http://" + site + ":" + strconv.Itoa(config.Int("webserver_port", 8000))
}

// APIKey is what is given of an API key and its secret, else $BRIDGE_API_KEY and $BRIDGE_API_SECRET.
func APIKey(key, secret string) (string, string) {
	return cmp.Or(key, os.Getenv("BRIDGE_API_KEY")), cmp.Or(secret, os.Getenv("BRIDGE_API_SECRET"))
}

// Config is how to dial. That there are no usable credentials is a mistake of usage.
func (c Connection) Config(b *frappe.Bench, site string) (socketio.Config, error) {
	cfg := socketio.Config{URL: cmp.Or(c.URL, ServerURL(b)), Site: site, Origin: cmp.Or(c.origin, c.URL), Header: http.Header{}}
	if cfg.Origin == "" {
		// The realtime server asks there who connects; at its own address nobody answers.
		cfg.Origin = SiteURL(b, site)
	}
	key, secret := APIKey(c.Key, c.Secret)
	sid := cmp.Or(c.sid, os.Getenv("BRIDGE_SID"))
	switch {
	case c.sid != "" || key == "" && sid != "":
		cfg.Header.Set("Cookie", "sid="+sid)
	case key != "" && secret != "":
		cfg.Header.Set("Authorization", "token "+key+":"+secret)
		// Most versions want a Cookie header beside it; one without a sid leaves the decision to the key.
		cfg.Header.Set("Cookie", "system_user=yes")
	case key != "" || secret != "":
		return cfg, exitcode.Usagef("an API key and its secret belong together: set $BRIDGE_API_KEY and $BRIDGE_API_SECRET")
	default:
		return cfg, exitcode.Usagef("as whom? Set $BRIDGE_API_KEY and $BRIDGE_API_SECRET (User > Settings > API Access in the desk), or pass --sid")
	}
	if strings.ContainsAny(key+secret+sid, "\r\n;") {
		return cfg, exitcode.Usagef("the credentials contain a line break or a semicolon")
	}
	return cfg, nil
}
