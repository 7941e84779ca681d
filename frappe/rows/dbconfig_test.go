package rows

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
)

func configuredSite(t *testing.T, major, site string) *frappe.Site {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "sites", commonFile), `{"db_host": "common", "party": {"frappe_version": "`+major+`"}}`)
	write(t, filepath.Join(dir, "sites", "s", siteFile), site)
	return openSite(t, dir, "s")
}

func TestDatabaseConfig(t *testing.T) {
	for _, tc := range []struct {
		name, major, site string
		user, net, addr   string
	}{
		{"15 ignores db_user", "15", `{"db_name": "n", "db_user": "u", "db_port": "3310"}`, "n", "tcp", "common:3310"},
		{"16 has db_user", "16", `{"db_name": "n", "db_user": "u", "db_host": "h", "db_port": 3310}`, "u", "tcp", "h:3310"},
		{"16 without", "16", `{"db_name": "n"}`, "n", "tcp", "common:3306"},
		{"a socket wins", "15", `{"db_name": "n", "db_socket": "/run/m.sock"}`, "n", "unix", "/run/m.sock"},
		{"ipv6", "15", `{"db_name": "n", "db_host": "::1"}`, "n", "tcp", "[::1]:3306"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := siteDatabase(configuredSite(t, tc.major, tc.site))
			if err != nil {
				t.Fatal(err)
			}
			if d := c.driver; d.User != tc.user || d.Net != tc.net || d.Addr != tc.addr || d.DBName != "n" || d.TLS != nil {
				t.Errorf("got user %q, %s %s, schema %q", d.User, d.Net, d.Addr, d.DBName)
			}
		})
	}
	for site, says := range map[string]string{`{}`: "db_name is missing", `{"db_name": "n", "db_type": "postgres"}`: "only mariadb"} {
		if _, err := siteDatabase(configuredSite(t, "15", site)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", site, err, says)
		}
	}
}

func TestDatabaseTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := certificate(t)
	write(t, filepath.Join(dir, "ca.pem"), cert)
	write(t, filepath.Join(dir, "key.pem"), key)
	all := frappe.Config{"db_host": "db.test", "db_ssl_ca": "ca.pem", "db_ssl_cert": "ca.pem", "db_ssl_key": "key.pem"}
	onlyCA := frappe.Config{"db_host": "db.test", "db_ssl_ca": "ca.pem"}
	for _, tc := range []struct {
		name   string
		config frappe.Config
		major  int
		want   bool
	}{
		{"all three", all, 15, true}, {"15 with the authority alone", onlyCA, 15, false}, {"17 with the authority alone", onlyCA, 17, true}, {"none", frappe.Config{}, 17, false},
	} {
		got, _, err := databaseTLS(tc.config, tc.major, dir)
		if err != nil || (got != nil) != tc.want {
			t.Errorf("%s: %v, %v, want TLS %v", tc.name, got, err, tc.want)
		}
	}
	got, _, err := databaseTLS(frappe.Config{"db_host": "db.test", "db_ssl_ca": "ca.pem", "db_ssl_check_hostname": false}, 17, dir)
	if err != nil || !got.InsecureSkipVerify || got.VerifyConnection == nil {
		t.Errorf("without the check of the name the chain must still be checked: %+v, %v", got, err)
	}
	if _, _, err := databaseTLS(frappe.Config{"db_ssl_ca": "absent.pem"}, 17, dir); err == nil || !strings.Contains(err.Error(), "db_ssl_ca") {
		t.Errorf("an absent file: %v", err)
	}
	if _, _, err := databaseTLS(frappe.Config{"db_ssl_ca": "key.pem"}, 17, dir); err == nil || !strings.Contains(err.Error(), "no PEM certificate") {
		t.Errorf("not a certificate: %v", err)
	}
}

func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return encode("CERTIFICATE", der), encode("EC PRIVATE KEY", text)
}
