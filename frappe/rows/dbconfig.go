package rows

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/internal/dial"
)

const (
	dialTimeout = 5 * time.Second // for connecting
	// idleTransaction is how long a transaction may be left without a statement until the server ends it. Nobody here thinks about
	// anything in between: who takes so long has been stopped.
	idleTransaction = 5 * time.Second
)

type databaseConfig struct {
	driver *mysql.Config
	tlsKey string
}

// key tells two configurations apart; it holds the password and must not be shown.
func (c databaseConfig) key() string {
	return c.driver.FormatDSN() + "|" + c.tlsKey
}

// siteDatabase follows frappe/database: in 15 the user is the schema's name and db_user is ignored, 16 has db_user.
func siteDatabase(s *frappe.Site) (databaseConfig, error) {
	c, major := s.Config(), s.Bench.Major
	if t := c.String("db_type", "mariadb"); t != "mariadb" {
		return databaseConfig{}, fmt.Errorf("site %s: db_type is %q; only mariadb is supported", s.Name, t)
	}
	name := c.String("db_name", "")
	if name == "" {
		return databaseConfig{}, fmt.Errorf("site %s: db_name is missing in %s", s.Name, s.ConfigFile())
	}
	m := mysql.NewConfig()
	m.DBName, m.User, m.Passwd = name, name, c.String("db_password", "")
	if major != 15 {
		m.User = c.String("db_user", name)
	}
	m.Net, m.Addr = "tcp", net.JoinHostPort(c.String("db_host", "127.0.0.1"), strconv.Itoa(c.Int("db_port", 3306)))
	if socket := c.String("db_socket", ""); socket != "" {
		m.Net, m.Addr = "unix", socket
	}
	m.Collation = "utf8mb4_unicode_ci"
	m.Timeout = dialTimeout
	m.DialFunc = dial.Dialer(dialTimeout).DialContext
	m.InterpolateParams = true    // one round trip a statement instead of two
	m.ClientFoundRows = true      // "affected" counts the rows that matched, so a write of equal values still says the row was there
	m.MaxAllowedPacket = 0        // ask the server
	m.Logger = &mysql.NopLogger{} // the same problems come back as errors
	m.Params = map[string]string{
		"innodb_lock_wait_timeout": strconv.Itoa(int(lockWait / time.Second)),
		// No gap locks: two processes that look for different jobs don't deadlock.
		"tx_isolation": "'READ-COMMITTED'",
		// What a process that is stopped, or its host, has locked is free again before its jobs' leases lapse.
		"idle_transaction_timeout": strconv.Itoa(int(idleTransaction / time.Second)),
	}
	t, key, err := databaseTLS(c, major, s.Bench.SitesDir)
	if err != nil {
		return databaseConfig{}, fmt.Errorf("site %s: %w", s.Name, err)
	}
	m.TLS = t
	return databaseConfig{m, key}, nil
}

// databaseTLS reads db_ssl_ca, db_ssl_cert and db_ssl_key. Until 16 TLS is only used if all three are set; 17 is
// content with the authority and knows db_ssl_check_hostname.
func databaseTLS(c frappe.Config, major int, sites string) (*tls.Config, string, error) {
	ca, cert, key := c.String("db_ssl_ca", ""), c.String("db_ssl_cert", ""), c.String("db_ssl_key", "")
	if ca == "" || (major < 17 && (cert == "" || key == "")) {
		return nil, "", nil
	}
	abs := func(p string) string {
		if filepath.IsAbs(p) {
			return p
		}
		return filepath.Join(sites, p) // bench processes run in sites/
	}
	pem, err := os.ReadFile(abs(ca))
	if err != nil {
		return nil, "", fmt.Errorf("db_ssl_ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, "", fmt.Errorf("db_ssl_ca: %s has no PEM certificate", abs(ca))
	}
	t := &tls.Config{RootCAs: pool, ServerName: c.String("db_host", "127.0.0.1"), MinVersion: tls.VersionTLS12}
	if cert != "" && key != "" {
		pair, err := tls.LoadX509KeyPair(abs(cert), abs(key))
		if err != nil {
			return nil, "", fmt.Errorf("db_ssl_cert and db_ssl_key: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	_, set := c["db_ssl_check_hostname"]
	check := !set || c.Bool("db_ssl_check_hostname")
	if !check {
		t.InsecureSkipVerify = true // the chain is still checked below, only the name isn't
		t.VerifyConnection = verifyChain(pool)
	}
	return t, fmt.Sprint(ca, cert, key, check), nil
}

func verifyChain(pool *x509.CertPool) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return errors.New("the database server sent no certificate")
		}
		rest := x509.NewCertPool()
		for _, c := range s.PeerCertificates[1:] {
			rest.AddCert(c)
		}
		_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: pool, Intermediates: rest})
		return err
	}
}
