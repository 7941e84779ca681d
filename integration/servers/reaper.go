package servers

import (
	"os"
	"os/exec"
	"syscall"
)

// reaper removes a directory when this process ends without having done so, be it by a panic, a test timeout or
// SIGKILL: a shell that waits for the end of a pipe whose other end only we hold.
type reaper struct {
	cmd  *exec.Cmd
	hold *os.File
}

// The servers die with us, but not necessarily before the shell looks, so it tries until nobody writes any more.
const reaperScript = `read -r _; for i in 1 2 3 4 5 6 7 8 9 10; do
	rm -rf -- "$1" 2>/dev/null && [ ! -e "$1" ] && exit 0; sleep 0.2
done`

func startReaper(dir string) (*reaper, error) {
	read, hold, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer read.Close()
	cmd := exec.Command("/bin/sh", "-c", reaperScript, "reaper", dir)
	cmd.Dir = "/"
	cmd.Stdin = read
	// A session of its own: it must survive the Ctrl-C and the hang-up that end us.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		hold.Close()
		return nil, err
	}
	return &reaper{cmd: cmd, hold: hold}, nil
}

// dismiss ends the reaper. The directory is gone by now or will be removed by it; calling it again does nothing.
func (r *reaper) dismiss() {
	if r.hold == nil {
		return
	}
	r.hold.Close()
	r.hold = nil
	// The shell has nothing left to do but rm and exit.
	r.cmd.Wait()
}
