package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// certify writes what a whole run found. A short run, or one of some scenarios, certifies nothing.
func certify(path string, o *options, only []string, reports []report) error {
	if o.short || only != nil {
		return errors.New("a certificate is of all scenarios in full: leave out --only and --short, or --certificate")
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "# What became of the jobs\n\n`make chaos` wrote this on %s, with the seed %d, on %s, with %s. Lost is what was in no list and would never have ended; "+
		"a rescue is the time from the death of a worker to the next start of a job that it ran. Everything is counted from outside, by what the handlers wrote down.\n",
		time.Now().UTC().Format("2 January 2006"), o.seed, machine(), versions(o))
	if !kept(reports) {
		fmt.Fprint(&b, "\n**Not every promise was kept.**\n")
	}
	for _, r := range reports {
		fmt.Fprintf(&b, "\n## %s\n\n%s; it took %.0f s.\n", r.Scenario, upper(r.What), r.Took)
		for _, rows := range r.tables() {
			fmt.Fprintln(&b)
			for i, cells := range rows {
				fmt.Fprintf(&b, "| %s |\n", strings.ReplaceAll(strings.Join(cells, "\x00"), "|", "/"))
				if i == 0 {
					fmt.Fprintf(&b, "|%s\n", strings.Repeat("---|", len(cells)))
				}
			}
		}
	}
	return os.WriteFile(path, bytes.ReplaceAll(b.Bytes(), []byte("\x00"), []byte(" | ")), 0o644)
}

func upper(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// machine says what it ran on.
func machine() string {
	model := "an unknown processor"
	info, _ := os.ReadFile("/proc/cpuinfo") // of Linux
	for text := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(text, ":"); ok && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	return fmt.Sprintf("%d processors (%s, %s/%s)", runtime.NumCPU(), model, runtime.GOOS, runtime.GOARCH)
}

// versions says what was run. A server that can't be asked is left out.
func versions(o *options) string {
	parts := []string{"RQ " + strings.Join(o.versions, ", "), strings.Replace(runtime.Version(), "go", "Go ", 1)}
	for program, name := range map[string]string{"redis-server": "Redis", "/usr/sbin/mariadbd": "MariaDB"} {
		out, err := exec.Command(program, "--version").Output()
		if err != nil {
			continue
		}
		for _, word := range strings.Fields(string(out)) {
			if version := strings.TrimPrefix(word, "v="); version != "" && version[0] >= '0' && version[0] <= '9' {
				version, _, _ = strings.Cut(version, "-")
				parts = append(parts, name+" "+version)
				break
			}
		}
	}
	return strings.Join(parts, ", ")
}
