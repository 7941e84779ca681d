package commands

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
)

// notify tells systemd about this process's state, as sd_notify(3) does; without systemd it does nothing.
func notify(state string) error {
	socket := os.Getenv("NOTIFY_SOCKET") // a leading @, for an abstract one, is what package net takes too
	if socket == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	_, err = conn.Write([]byte(state))
	return errors.Join(err, conn.Close())
}

// leastStuck is what a busy machine may keep an engine from its next step.
const leastStuck = 20 * time.Second

// tellSystemd says when the engine is ready, that it still moves, and that it stops, until it has stopped.
func tellSystemd(ctx, stopping context.Context, e *bridge.Engine, log *slog.Logger) {
	tell := func(state string) {
		if err := notify(state); err != nil {
			log.Warn("systemd can't be told", "error", err, "state", state)
		}
	}
	select {
	case <-e.Connected():
		tell("READY=1")
	case <-ctx.Done():
		return
	}
	var alive <-chan time.Time
	every := watchdog()
	if every > 0 {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		alive = ticker.C
	}
	stop := stopping.Done()
	look := time.NewTicker(time.Second)
	defer look.Stop()
	said := ""
	for {
		select {
		case <-look.C:
			if status := strings.Join(e.Troubles(), "; "); status != said { // STATUS is one line
				said = status
				tell("STATUS=" + strings.ReplaceAll(cmp.Or(status, "working"), "\n", " "))
			}
		case <-alive:
			e.Stats() // which doesn't return from an engine that is stuck for good
			if what := e.Stuck(max(every, leastStuck)); len(what) > 0 {
				log.Error("systemd isn't told that the bridge moves, since it doesn't", "stuck", what)
				continue
			}
			tell("WATCHDOG=1")
		case <-stop:
			tell("STOPPING=1")
			stop = nil
		case <-ctx.Done():
			return
		}
	}
}

// watchdog is how often systemd is to be told, twice as often as it demands; 0 if it demands nothing of this process.
func watchdog() time.Duration {
	if pid := os.Getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	limit, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || limit < 2 {
		return 0
	}
	return time.Duration(limit) * time.Microsecond / 2
}
