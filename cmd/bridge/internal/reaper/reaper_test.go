package reaper

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// variable has the test program play the first process of a container: "orphans" or "signal".
const variable = "REAPER_TEST"

func TestMain(m *testing.M) {
	play := os.Getenv(variable)
	if play == "" {
		os.Exit(m.Run())
	}
	code, first, err := Run()
	switch {
	case err != nil:
		fmt.Println(err)
		os.Exit(1)
	case first:
		os.Exit(code)
	case play == "orphans":
		orphan()
		os.Exit(7)
	}
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	fmt.Println("ready")
	fmt.Println(<-terminated)
	signal.Reset()
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // the kernel spares a first process
	os.Exit(1)
}

// orphan starts programs whose helpers outlive them, one that ends by itself and one that is killed, and says how many
// zombies there are when all have ended.
func orphan() {
	for _, sleep := range []string{"0.05", "60"} {
		cmd := exec.Command("/bin/sh", "-c", "sleep "+sleep+" & exit 3")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		err := cmd.Run() // its own Wait must get the status
		fmt.Println(err)
		if sleep == "60" {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
	}
	zombies := -1
	for end := time.Now().Add(3 * time.Second); zombies != 0 && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		zombies = 0
		sleeping := false
		stats, _ := filepath.Glob("/proc/[0-9]*/stat")
		for _, file := range stats {
			stat, _ := os.ReadFile(file)
			sleeping = sleeping || strings.Contains(string(stat), "(sleep) S")
			if strings.Contains(string(stat), ") Z ") {
				zombies++
			}
		}
		if sleeping {
			zombies = -1
		}
	}
	fmt.Println("zombies:", zombies)
}

// inContainer is this program as the first process of process and mount namespaces of its own.
func inContainer(t *testing.T, play string) *exec.Cmd {
	t.Helper()
	args := []string{"--pid", "--fork", "--mount-proc"}
	if os.Getuid() != 0 {
		args = append(args, "--user", "--map-root-user")
	}
	if out, err := exec.Command("unshare", append(args, "true")...).CombinedOutput(); err != nil {
		t.Skipf("no namespaces here: %v: %s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", append(args, "--kill-child", self)...)
	cmd.Env = append(os.Environ(), variable+"="+play)
	return cmd
}

// TestFirstProcessLeavesNoZombies, and its exit code is the program's.
func TestFirstProcessLeavesNoZombies(t *testing.T) {
	cmd := inContainer(t, "orphans")
	out, err := cmd.CombinedOutput()
	if want := "exit status 3\nexit status 3\nzombies: 0\n"; string(out) != want || cmd.ProcessState.ExitCode() != 7 {
		t.Errorf("said %q, ended with %v; want %q and exit status 7", out, err, want)
	}
}

// TestFirstProcessHandsSignalsOn: the program ends as it likes.
func TestFirstProcessHandsSignalsOn(t *testing.T) {
	cmd := inContainer(t, "signal")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "ready" {
		t.Fatalf("said %q, want ready", lines.Text())
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	var first int
	if _, err := fmt.Sscan(string(children), &first); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(first, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if !lines.Scan() || lines.Text() != "terminated" {
		t.Errorf("after SIGTERM the program said %q, want that it got it", lines.Text())
	}
	_ = cmd.Wait() // its code is looked at
	if code := cmd.ProcessState.ExitCode(); code != 128+int(syscall.SIGKILL) {
		t.Errorf("the program was killed, and the first process ended with %d, want 137", code)
	}
}

func TestRunElsewhereDoesNothing(t *testing.T) {
	if code, first, err := Run(); code != 0 || first || err != nil {
		t.Errorf("Run in a process that isn't the first = %d, %t, %v", code, first, err)
	}
}
