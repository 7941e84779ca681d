package commands

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/opensoft/dartwing-bridge/integration/servers"
)

// TestTheStepsOfTheReadme end in a completed job, word for word.
func TestTheStepsOfTheReadme(t *testing.T) {
	text, err := os.ReadFile("../../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, steps, _ := strings.Cut(string(text), "\n## Beside a bench\n")
	steps, _, _ = strings.Cut(steps, "\n### ")
	install := regexp.MustCompile(`(?m)^ +bridge (install .*)$`).FindStringSubmatch(steps)
	call := regexp.MustCompile(`frappe\.enqueue\("(\w+)", queue="(\w+)", organization="([\w-]+)", duration=10\)`).FindStringSubmatch(steps)
	if install == nil || call == nil || !strings.Contains(steps, `"workers": {"go"`) {
		t.Fatalf("the README's steps don't install and enqueue any more:\n%s", steps)
	}
	b := newBed(t, servers.BenchConfig{})
	must(t, strings.Fields(install[1])...)
	b.worker()
	must(t, "enqueue", call[1], "--queue", call[2], "organization="+call[3], "duration=0.1", "--wait")
	waitStatus(t, strings.Fields(strings.Split(must(t, "jobs"), "\n")[1])[0], "Completed")
}

// TestTheFirstJobOfTheReadme is made by three commands, word for word.
func TestTheFirstJobOfTheReadme(t *testing.T) {
	text, err := os.ReadFile("../../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## The first job, in a minute\n")
	section, _, _ = strings.Cut(section, "\n## ")
	lines := regexp.MustCompile(`(?m)^bridge (.*)$`).FindAllStringSubmatch(section, -1)
	if len(lines) != 3 {
		t.Fatalf("the section has %d commands, want 3:\n%s", len(lines), section)
	}
	newBed(t, servers.BenchConfig{})
	must(t, strings.Fields(lines[0][1])...)
	program(t, nil, append(strings.Fields(lines[1][1]), "--stop-timeout", "1s")...)
	name := strings.TrimSpace(must(t, strings.Fields(strings.Replace(lines[2][1], "duration=10", "duration=0.1", 1))...))
	waitStatus(t, name, "Completed")
}
