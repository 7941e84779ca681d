package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// heading begins a scenario's part of a certificate.
const heading = "\n## "

const certificateIntroduction = "# What became of the jobs\n\n`make chaos` wrote this. Lost is what was in no list and would never have ended; " +
	"a rescue is the time from the death of a worker to the next start of a job that it ran. Everything is counted from outside, by what the handlers wrote down.\n"

// certify writes what was found into a file, in place of what it says of the same scenarios: so an hour's scenario may be run on
// another day than the others. A short run certifies nothing.
func certify(path string, o *options, reports []report) error {
	if o.short {
		return errors.New("a certificate is of scenarios in full: leave out --short or --certificate")
	}
	parts := map[string]string{}
	before, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, part := range strings.Split(string(before), heading)[1:] {
		name, _, _ := strings.Cut(part, "\n")
		parts[name] = heading + part
	}
	for _, r := range reports {
		parts[r.Scenario] = r.part(o)
	}
	text := certificateIntroduction
	for _, s := range scenarios {
		if part := strings.TrimSpace(parts[s.name]); part != "" {
			text += "\n" + part + "\n"
		}
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// part is what a certificate says of a scenario.
func (r report) part(o *options) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s\n\n%s. It took %.0f s on %s, with the seed %d, on %s, with %s.\n", heading, r.Scenario, upper(r.What), r.Took,
		time.Now().UTC().Format("2 January 2006"), o.seed, machine(), versions(o))
	if !kept([]report{r}) {
		fmt.Fprint(&b, "\n**Not every promise was kept.**\n")
	}
	for _, rows := range r.tables() {
		fmt.Fprintln(&b)
		for i, cells := range rows {
			for _, cell := range cells {
				fmt.Fprintf(&b, "| %s ", strings.ReplaceAll(cell, "|", "/"))
			}
			fmt.Fprintln(&b, "|")
			if i == 0 {
				fmt.Fprintf(&b, "|%s\n", strings.Repeat("---|", len(cells)))
			}
		}
	}
	return b.String()
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
