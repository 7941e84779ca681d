// Package setup writes what systemd and supervisor are told about the bridge of one bench: the one source of such units.
package setup

import (
	"embed"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
	"time"
)

// Service is the bridge of one bench, as whoever starts and stops it has to know it.
type Service struct {
	Name        string        // as bench names its own: frappe-bench-bridge; see [Name]
	Bench       string        // directory of the bench, absolute
	User        string        // whom it runs as
	Program     string        // path of the bridge, absolute
	Environment []string      // NAME=value
	StopTimeout time.Duration // that of its configuration
	CancelGrace time.Duration
	Target      string // systemd's target of bench's own workers, "" without one
}

// Example is the service of the units in testdata/units.
var Example = Service{
	Name: "frappe-bench-bridge", Bench: "/home/frappe/frappe-bench", User: "frappe", Program: "/usr/local/bin/bridge",
	StopTimeout: 30 * time.Second, CancelGrace: 10 * time.Second,
}

var unusual = regexp.MustCompile(`[^A-Za-z0-9_.-]+`)

// Name is what the bridge of a bench is called, in letters that a unit and a program of supervisor may have.
func Name(bench string) string {
	return unusual.ReplaceAllString(filepath.Base(bench), "-") + "-bridge"
}

// BenchTarget is the name of the target of bench's own workers, "" if bench setup systemd hasn't written one.
func BenchTarget(bench string) string {
	name := filepath.Base(bench) + "-workers.target"
	if _, err := os.Stat(filepath.Join(bench, "config", "systemd", name)); err != nil || unusual.MatchString(name) {
		return ""
	}
	return name
}

// StopSeconds is how long a stop may take before the bridge is killed: its handlers' time, and 20 s to put things in order.
func (s Service) StopSeconds() int {
	return int(math.Ceil((s.StopTimeout + s.CancelGrace).Seconds())) + 20
}

// Log is the path of a file among the bench's logs.
func (s Service) Log(name string) string { return filepath.Join(s.Bench, "logs", name) }

// Kind is one of the programs that start and stop services.
type Kind struct {
	Name     string // systemd or supervisor
	template string
	escape   template.FuncMap
	file     func(service string) string
	next     func(service, file string) []string
}

// Kinds are those that there are templates for.
var Kinds = []Kind{
	{
		"systemd", "systemd.service.tmpl",
		template.FuncMap{"plain": systemdPlain, "word": systemdWord, "quoted": systemdQuoted},
		func(service string) string { return filepath.Join("config", "systemd", service+".service") },
		func(service, file string) []string {
			return []string{
				"sudo ln -sf " + shell(file) + " /etc/systemd/system/",
				"sudo systemctl daemon-reload",
				"sudo systemctl enable " + service + ".service",
				"sudo systemctl restart " + service + ".service",
			}
		},
	},
	{
		"supervisor", "supervisor.conf.tmpl",
		template.FuncMap{"plain": supervisorPlain, "log": supervisorLog, "word": supervisorWord, "pairs": supervisorPairs},
		func(string) string { return filepath.Join("config", "supervisor-bridge.conf") },
		func(service, file string) []string {
			return []string{
				"sudo ln -sf " + shell(file) + " " + supervisorLink(service),
				"sudo supervisorctl reread",
				"sudo supervisorctl update " + service,
			}
		},
	},
}

// supervisorLink is where supervisor looks for a program's file on this host, by the places that bench knows.
func supervisorLink(service string) string {
	for _, place := range []struct{ dir, ending string }{
		{"/etc/supervisor/conf.d", ".conf"}, {"/etc/supervisor.d", ".conf"}, {"/etc/supervisord/conf.d", ".conf"}, {"/etc/supervisord.d", ".ini"},
	} {
		if info, err := os.Stat(place.dir); err == nil && info.IsDir() {
			return filepath.Join(place.dir, service+place.ending)
		}
	}
	return "/etc/supervisor/conf.d/" + service + ".conf"
}

//go:embed *.tmpl
var templates embed.FS

// Text is the unit; an error names what in it can't be said in such a file.
func (k Kind) Text(s Service) (string, error) {
	t, err := template.New(k.template).Funcs(k.escape).ParseFS(templates, k.template)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	if err := t.Execute(&text, s); err != nil {
		return "", fmt.Errorf("the unit for %s: %w", k.Name, err)
	}
	return text.String(), nil
}

// File is where the unit belongs, within the bench's directory.
func (k Kind) File(s Service) string { return k.file(s.Name) }

// Next are the commands that make the unit in that file known and start it.
func (k Kind) Next(s Service) []string { return k.next(s.Name, filepath.Join(s.Bench, k.File(s))) }

// Action is what became of a file.
type Action string

// What [Write] does.
const (
	Created   Action = "created"
	Updated   Action = "updated"
	Unchanged Action = "unchanged"
	Differs   Action = "differs" // it is there with another text, which was kept
)

// Write writes a file of a bench, which then belongs to owner if this is root; old is the text that it had. It never leaves the
// bench's directory, whatever links its user has made there.
func Write(bench, file, text string, owner, group int, overwrite, secret bool) (did Action, old string, err error) {
	root, err := os.OpenRoot(bench)
	if err != nil {
		return "", "", err
	}
	defer func() { _ = root.Close() }()
	was, err := root.ReadFile(file)
	switch {
	case err == nil && string(was) == text:
		return Unchanged, text, nil
	case err == nil && !overwrite:
		return Differs, string(was), nil
	case err == nil:
		did = Updated
	case os.IsNotExist(err):
		did = Created
	default:
		return "", "", err
	}
	mode := fs.FileMode(0o644)
	if secret {
		mode = 0o600
	}
	own := func(string) error { return nil }
	if os.Geteuid() == 0 {
		own = func(name string) error { return root.Lchown(name, owner, group) }
	}
	return did, string(was), replace(root, file, text, mode, own)
}

// replace puts a whole file in place at once.
func replace(root *os.Root, file, text string, mode fs.FileMode, own func(name string) error) error {
	for dir := range parents(filepath.Dir(file)) {
		if err := root.Mkdir(dir, 0o755); os.IsExist(err) {
			continue
		} else if err != nil {
			return err
		}
		if err := own(dir); err != nil {
			return err
		}
	}
	fresh := file + ".new"
	if err := root.Remove(fresh); err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := root.WriteFile(fresh, []byte(text), mode); err != nil {
		return err
	}
	if err := own(fresh); err != nil {
		return err
	}
	return root.Rename(fresh, file)
}

// parents yields a relative directory's parts, outermost first.
func parents(dir string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i, r := range dir + "/" {
			if r == '/' && !yield(dir[:i]) {
				return
			}
		}
	}
}
