package frappe

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisURL is a Redis URL as redis-py takes it apart (redis/connection.py parse_url and urllib.parse, redis-py 4.5 to
// 7.1): nothing has to be escaped but what would end its part.
type redisURL struct {
	scheme             string
	host, path         string // path of a socket
	port               int
	username, password string
	options            map[string]string // db among them, wherever the URL had it
}

// splitRedisURL takes a URL apart. ok is false for one that redis-py refuses as well.
func splitRedisURL(text string) (u redisURL, ok bool) {
	text = strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(text)
	u.scheme, text, ok = strings.Cut(text, "://")
	if !ok || !slices.Contains([]string{"redis", "rediss", "unix"}, u.scheme) {
		return u, false
	}
	authority, rest := text, ""
	if i := strings.IndexAny(text, "/?#"); i >= 0 {
		authority, rest = text[:i], text[i:]
	}
	rest, _, _ = strings.Cut(rest, "#")
	path, query, _ := strings.Cut(rest, "?")
	u.options = queryOptions(query)
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, password, _ := strings.Cut(authority[:i], ":")
		u.username, u.password, authority = unquote(user), unquote(password), authority[i+1:]
	}
	if u.scheme == "unix" {
		u.path = unquote(path)
		return u, u.path != ""
	}
	if _, given := u.options["db"]; !given {
		if db := strings.TrimSpace(strings.ReplaceAll(unquote(path), "/", "")); isNumber(db) { // redis-py ignores any other path
			u.options["db"] = db
		}
	}
	return u, u.setHost(authority)
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 10, 31)
	return err == nil
}

func (u *redisURL) setHost(authority string) bool {
	host, port, _ := strings.Cut(authority, ":")
	if _, bracketed, isIPv6 := strings.Cut(authority, "["); isIPv6 {
		host, port, _ = strings.Cut(bracketed, "]")
		_, port, _ = strings.Cut(port, ":")
	}
	u.host, u.port = strings.ToLower(unquote(host)), 6379
	if u.host == "" {
		u.host = "localhost"
	}
	if port == "" {
		return true
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if u.port = int(n); n == 0 {
		u.port = 6379
	}
	return err == nil
}

// queryOptions follows urllib.parse.parse_qs: the first value of each name counts. redis-py unquotes it once more.
func queryOptions(query string) map[string]string {
	options := map[string]string{}
	for part := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(strings.ReplaceAll(part, "+", " "), "=")
		name = unquote(name)
		if _, seen := options[name]; value != "" && !seen {
			options[name] = unquote(unquote(value))
		}
	}
	return options
}

// unquote is urllib.parse.unquote: a percent sign that escapes nothing stays.
func unquote(s string) string {
	var b []byte
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b = append(b, byte(n))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

// ignoredOptions of redis-py mean nothing here: how Python sees replies, when it repeats a command (this client never
// does) or looks at an idle connection (this one does before each use), how many connections one of its pools may open
// (here that follows from what is waited for), and keep-alive, which is always on.
var ignoredOptions = []string{
	"decode_responses", "encoding", "encoding_errors", "retry_on_timeout", "retry_on_error", "health_check_interval",
	"max_connections", "timeout", "socket_keepalive", "socket_read_size", "lib_name", "lib_version",
}

// options are the connection's, or an error that names the option which can't be honoured. Files are looked for where
// Python does, in dir.
func (u redisURL) connection(dir string) (*redis.UniversalOptions, error) {
	o := &redis.UniversalOptions{Addrs: []string{u.path}, Username: u.username, Password: u.password}
	if u.scheme != "unix" {
		o.Addrs[0] = net.JoinHostPort(u.host, strconv.Itoa(u.port))
	}
	secure := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(u.options)) {
		if value := u.options[name]; strings.HasPrefix(name, "ssl_") && u.scheme == "rediss" {
			secure[name] = value
		} else if err := setOption(o, name, value); err != nil {
			return nil, err
		}
	}
	if o.DialTimeout == 0 {
		o.DialTimeout = o.ReadTimeout // redis-py: socket_connect_timeout is socket_timeout by default
	}
	if u.scheme != "rediss" {
		return o, nil
	}
	var err error
	o.TLSConfig, err = tlsConfig(u.host, dir, secure)
	return o, err
}

// setOption honours one option of a URL that doesn't belong to TLS. The credentials in front of the host go first.
func setOption(o *redis.UniversalOptions, name, value string) (err error) {
	switch name {
	case "db":
		o.DB, err = strconv.Atoi(value)
	case "username":
		if o.Username == "" {
			o.Username = value
		}
	case "password":
		if o.Password == "" {
			o.Password = value
		}
	case "client_name":
		o.ClientName = value
	case "protocol":
		if o.Protocol, err = strconv.Atoi(value); err == nil && o.Protocol != 2 && o.Protocol != 3 {
			err = strconv.ErrRange
		}
	case "socket_timeout":
		o.ReadTimeout, err = seconds(value)
		o.WriteTimeout = o.ReadTimeout
	case "socket_connect_timeout":
		o.DialTimeout, err = seconds(value)
	default:
		if !slices.Contains(ignoredOptions, name) {
			return fmt.Errorf("its option %q is not one that the bridge can honour", name)
		}
	}
	if err != nil {
		return fmt.Errorf("its option %q has a value that it can't have", name)
	}
	return nil
}

// seconds reads Python's float of seconds; zero stands for the client's own default.
func seconds(value string) (time.Duration, error) {
	s, err := strconv.ParseFloat(value, 64)
	if err != nil || math.IsNaN(s) || s < 0 || s > 1e6 {
		return 0, strconv.ErrRange
	}
	return time.Duration(s * float64(time.Second)), nil
}

// isFalse is redis-py's to_bool.
func isFalse(value string) bool {
	return slices.Contains([]string{"0", "F", "FALSE", "N", "NO"}, strings.ToUpper(value))
}

// tlsConfig honours redis-py's ssl_ options (SSLConnection). As from redis-py 6 on, and unlike before, the host's name is
// checked unless ssl_check_hostname says no.
func tlsConfig(host, dir string, options map[string]string) (*tls.Config, error) {
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	file := func(name string) string {
		if path := options[name]; path != "" && !filepath.IsAbs(path) {
			return filepath.Join(dir, path)
		}
		return options[name]
	}
	for _, name := range slices.Sorted(maps.Keys(options)) {
		var err error
		switch value := options[name]; name {
		case "ssl_cert_reqs":
			if !slices.Contains([]string{"none", "optional", "required"}, value) {
				return nil, fmt.Errorf("its option %q has a value that it can't have: want none, optional or required", name)
			}
			c.InsecureSkipVerify = value == "none"
		case "ssl_check_hostname":
			if isFalse(value) && options["ssl_cert_reqs"] != "none" {
				c.InsecureSkipVerify, c.VerifyConnection = true, func(s tls.ConnectionState) error { return verifyChain(s, c.RootCAs) }
			}
		case "ssl_ca_certs":
			err = trust(c, file(name))
		case "ssl_ca_path":
			var files []string
			if files, err = filepath.Glob(filepath.Join(file(name), "*")); err == nil {
				err = trust(c, files...)
			}
		case "ssl_ca_data":
			if c.RootCAs = orPool(c.RootCAs); !c.RootCAs.AppendCertsFromPEM([]byte(value)) {
				err = errNoCertificate
			}
		case "ssl_certfile":
			var pair tls.Certificate
			key := file("ssl_keyfile")
			if key == "" {
				key = file(name)
			}
			pair, err = tls.LoadX509KeyPair(file(name), key)
			c.Certificates = []tls.Certificate{pair}
		case "ssl_keyfile": // belongs to ssl_certfile
		default:
			return nil, fmt.Errorf("its option %q is not one that the bridge can honour", name)
		}
		if err != nil {
			return nil, fmt.Errorf("its option %q: %w", name, err)
		}
	}
	return c, nil
}

var errNoCertificate = errors.New("there is no certificate in PEM form in it")

func orPool(p *x509.CertPool) *x509.CertPool {
	if p == nil {
		p = x509.NewCertPool()
	}
	return p
}

// trust adds the certificates in files to those that the server's may lead to.
func trust(c *tls.Config, files ...string) error {
	c.RootCAs = orPool(c.RootCAs)
	found := false
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		found = c.RootCAs.AppendCertsFromPEM(b) || found
	}
	if !found {
		return errNoCertificate
	}
	return nil
}

// verifyChain checks a server's certificate but not for whom it is.
func verifyChain(s tls.ConnectionState, roots *x509.CertPool) error {
	between := x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	return err
}
