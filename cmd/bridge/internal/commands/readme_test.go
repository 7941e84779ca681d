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
