package servers_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/integration/servers"
)

// These look after docker-compose.yml and the bench it mounts where no Docker runs.

func readText(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestComposePublishesOnLoopbackOnly(t *testing.T) {
	published := regexp.MustCompile(`(?m)^ +ports: *(.*)$`).FindAllStringSubmatch(readText(t, "../../docker-compose.yml"), -1)
	if len(published) == 0 {
		t.Fatal("found no published port; does the pattern still fit the file?")
	}
	for _, p := range published {
		if !strings.HasPrefix(p[1], `["127.0.0.1:`) {
			t.Errorf("ports: %s is not on loopback", p[1])
		}
	}
}

func TestComposeBenchFitsItsServers(t *testing.T) {
	compose := readText(t, "../../docker-compose.yml")
	b, err := frappe.OpenBench("../../testdata/bench", frappe.Options{})
	if err != nil {
		t.Fatal(err)
	}
	sites, err := b.Sites()
	if diff := cmp.Diff([]string{"site1.localhost"}, sites); err != nil || diff != "" {
		t.Fatalf("sites (-want +got), error %v:\n%s", err, diff)
	}
	site, err := b.Site(sites[0])
	if err != nil {
		t.Fatal(err)
	}
	for key, line := range map[string]string{
		"db_name": "MARIADB_DATABASE: ", "db_password": "MARIADB_PASSWORD: ", "redis_queue": "FRAPPE_REDIS_QUEUE: ",
		"default_site": "FRAPPE_SITE: ",
	} {
		if want := line + site.Config().String(key, "?"); !strings.Contains(compose, want+"\n") {
			t.Errorf("docker-compose.yml lacks %q, which %s of the bench asks for", want, key)
		}
	}
	var users map[string][]servers.SiteUser
	if err := json.Unmarshal([]byte(readText(t, "../../testdata/bench/users.json")), &users); err != nil {
		t.Fatal(err)
	}
	if len(users[sites[0]]) == 0 {
		t.Errorf("users.json has nobody on %s", sites[0])
	}
}

// TestImagesHaveFullVersions: a tag that moves makes another image of the same files. The compiler is that of go.mod.
func TestImagesHaveFullVersions(t *testing.T) {
	files := readText(t, "../../Dockerfile") + readText(t, "../../docker-compose.yml")
	images := regexp.MustCompile(`(?m)^(?:FROM| +image:) (\S+)`).FindAllStringSubmatch(files, -1)
	if len(images) < 6 {
		t.Fatalf("found %d images; does the pattern still fit the files?", len(images))
	}
	// Debian's own versions have two parts.
	full := regexp.MustCompile(`^(debian:\d+\.\d+|[a-z]+:\d+\.\d+\.\d+)(-[a-z-]+)?$`)
	for _, image := range images {
		if !full.MatchString(image[1]) {
			t.Errorf("image %s has no full version", image[1])
		}
	}
	version := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(readText(t, "../../go.mod"))[1]
	if !strings.Contains(files, "FROM golang:"+version+"-") {
		t.Errorf("the program is built by another Go than %s of go.mod", version)
	}
}
