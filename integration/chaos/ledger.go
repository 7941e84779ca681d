package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ledger is what handlers, and whoever kills them, write down as it happens: lines that are appended to one file by all processes.
// What was written is there whatever becomes of its writer. The clock is the machine's, which is the same for all.
type ledger struct {
	path string
	file *os.File
	// settles is how long after its handler's end a job may be settled at the latest: a kill within that time may have been before.
	settles time.Duration

	mu      sync.Mutex // of what was read
	offset  int64
	entries []entry
}

// What entries say.
const (
	began  = "began"  // a job's handler
	ended  = "ended"  // it, so that its job is to be done
	killed = "killed" // a process; written before it is
	// returned is that a stop ended it before it was done.
	returned = "returned"
	// goroutines is how many a process has, which stands in the place of a job.
	goroutines = "goroutines"
)

type entry struct {
	what    string
	key     string // of the job
	process int
	at      time.Time
}

// newLedger opens the ledger of that path, and makes it.
func newLedger(path string) (*ledger, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &ledger{path: path, file: f, settles: 2 * time.Second}, nil
}

func (l *ledger) close() error { return l.file.Close() }

// add writes a line; one write to a file that is only appended to is not torn.
func (l *ledger) add(what, key string, process int) error {
	_, err := fmt.Fprintf(l.file, "%s %s %d %d\n", what, key, process, time.Now().UnixNano())
	return err
}

// read is everything that was written so far, in its order.
func (l *ledger) read() ([]entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, err := os.Open(l.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := f.Seek(l.offset, io.SeekStart); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	b = b[:bytes.LastIndexByte(b, '\n')+1]
	l.offset += int64(len(b))
	for text := range strings.Lines(string(b)) {
		fields := strings.Fields(text)
		if len(fields) != 4 {
			return nil, fmt.Errorf("the ledger has a line %q", text)
		}
		process, err := strconv.Atoi(fields[2])
		if err != nil {
			return nil, fmt.Errorf("the ledger has a line %q: %w", text, err)
		}
		at, err := strconv.ParseInt(fields[3], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the ledger has a line %q: %w", text, err)
		}
		l.entries = append(l.entries, entry{fields[0], fields[1], process, time.Unix(0, at)})
	}
	return l.entries[:len(l.entries):len(l.entries)], nil
}

// history is what the ledger says of all jobs.
type history struct {
	kills   int
	runs    map[string][]attempt // by job
	settles time.Duration        // as of the ledger
	rescues durations            // from a death to the next start of each job that ran
}

// attempt is one start of a handler, and how it ended.
type attempt struct {
	process int
	began   time.Time
	ended   time.Time // zero: it was not its handler that ended it
	died    time.Time // when its process died, after it began; zero: it didn't
	// returned says that a stop ended it.
	returned bool
}

// history reads the ledger.
func (l *ledger) history() (h history, err error) {
	entries, err := l.read()
	h.runs, h.settles = map[string][]attempt{}, l.settles
	running := map[int]map[string]bool{} // jobs by process
	for _, e := range entries {
		runs := h.runs[e.key]
		switch e.what {
		case began:
			if n := len(runs); n > 0 && !runs[n-1].died.IsZero() && runs[n-1].ended.IsZero() {
				h.rescues = append(h.rescues, e.at.Sub(runs[n-1].died))
			}
			h.runs[e.key] = append(runs, attempt{process: e.process, began: e.at})
			if running[e.process] == nil {
				running[e.process] = map[string]bool{}
			}
			running[e.process][e.key] = true
		case ended, returned:
			for i := len(runs) - 1; i >= 0; i-- {
				if runs[i].process == e.process && runs[i].ended.IsZero() {
					if runs[i].returned = e.what == returned; !runs[i].returned {
						runs[i].ended = e.at
					}
					break
				}
			}
		case killed:
			h.kills++
			for key := range running[e.process] {
				if last := len(h.runs[key]) - 1; h.runs[key][last].process == e.process && h.runs[key][last].died.IsZero() {
					h.runs[key][last].died = e.at
				}
			}
			delete(running, e.process)
		}
	}
	return h, err
}

// deaths is how often the process of a job died before it can have been settled. Whether one also died that had claimed it and not
// begun, nobody has written down.
func (h history) deaths(key string) (n int) {
	for _, r := range h.runs[key] {
		if !r.died.IsZero() && !h.settled(r) {
			n++
		}
	}
	return n
}

// settled says that its end was written before its process died.
func (h history) settled(r attempt) bool {
	return !r.ended.IsZero() && (r.died.IsZero() || r.died.Sub(r.ended) > h.settles)
}

// ran says whether a job's handler came to its end.
func (h history) ran(key string) bool {
	return slices.ContainsFunc(h.runs[key], func(a attempt) bool { return !a.ended.IsZero() })
}

// onLast says whether a process runs a job that was running in two others when they died.
func (h history) onLast(process int) bool {
	for key, runs := range h.runs {
		if last := runs[len(runs)-1]; last.process == process && last.ended.IsZero() && last.died.IsZero() && h.deaths(key) >= 2 {
			return true
		}
	}
	return false
}

// after is how long after its start something was, "-" if it wasn't.
func (r attempt) after(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.Sub(r.began).Round(time.Millisecond).String()
}

// needless lists the starts of jobs that no death explains: the run before was not cut short, and its end not kept from being written.
func (h history) needless() (list []string) {
	for key, runs := range h.runs {
		for i := 1; i < len(runs); i++ {
			before := runs[i-1]
			if !before.returned && (before.died.IsZero() || before.died.After(runs[i].began) || h.settled(before)) {
				list = append(list, fmt.Sprintf("%s: its run %d began in process %d %s after the one before in process %d (which ended after %s, and died after %s)",
					key, i+1, runs[i].process, runs[i].began.Sub(before.began).Round(time.Millisecond), before.process, before.after(before.ended), before.after(before.died)))
			}
		}
	}
	return list
}
