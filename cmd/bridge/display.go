package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// display shows jobs as they change. It may be used by several goroutines.
type display interface {
	show(jobState)
	// close leaves what was shown in place.
	close()
}

// newDisplay is bars on a terminal, lines elsewhere, objects with --json.
func (a *app) newDisplay() display {
	switch {
	case a.json:
		return &jsonDisplay{out: a.out}
	case isTerminal(a.out):
		return newBars(a.out)
	}
	return &lineDisplay{out: a.out}
}

// lineDisplay prints a line per change.
type lineDisplay struct {
	mu  sync.Mutex
	out io.Writer
}

func (d *lineDisplay) show(s jobState) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(d.out, "%s  %s\n", time.Now().Format("15:04:05.0"), stateLine(s))
}

func (d *lineDisplay) close() {}

// stateLine is a job's state in one line.
func stateLine(s jobState) string {
	return fmt.Sprintf("%-16s %-18s %-11s %3.0f%%  %s", shortID(s.ID), clip(oneLine(s.Title), 18), s.Status, s.Progress, clip(squeezed(s.Message), 70))
}

// jsonDisplay prints an object per change, one a line.
type jsonDisplay struct {
	mu  sync.Mutex
	out io.Writer
}

func (d *jsonDisplay) show(s jobState) {
	b, err := json.Marshal(s)
	if err != nil {
		return // text and finite numbers always encode
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(d.out, "%s\n", b)
}

func (d *jsonDisplay) close() {}

// shortID is a job's name, or the first letters of the last part of an RQ id.
func shortID(id string) string {
	if i := strings.LastIndexAny(id, ":|"); i >= 0 && i < len(id)-1 {
		return "…" + clip(oneLine(id[i+1:]), 12)
	}
	return clip(oneLine(id), 40)
}
