package bridge

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// configure sets keys of one of the bench's configuration files, as bench and Frappe do: the file is replaced.
func (b *bed) configure(file string, keys map[string]any) {
	b.t.Helper()
	path := filepath.Join(b.dir, "sites", file)
	text, err := os.ReadFile(path)
	content := map[string]any{}
	if err == nil {
		err = json.Unmarshal(text, &content)
	}
	for key, value := range keys {
		content[key] = value
	}
	if text, _ = json.MarshalIndent(content, "", " "); err == nil {
		err = os.WriteFile(path+".new", text, 0o600)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// TestMaintenanceModeHoldsASite, as `bench update` sets it for all sites of a bench, and `bench set-maintenance-mode` for one: what
// runs goes on, nothing is claimed, and afterwards everything starts, as if it had only waited.
func TestMaintenanceModeHoldsASite(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		file string
		keys []string
	}{
		{filepath.Join(testSite, "site_config.json"), []string{"maintenance_mode"}},
		{"common_site_config.json", []string{"maintenance_mode", "pause_scheduler"}},
	} {
		t.Run(filepath.Base(c.file), func(t *testing.T) {
			t.Parallel()
			b := newBed(t, map[string]any{"concurrency": 8})
			b.countTypes()
			set := func(value int) {
				keys := map[string]any{}
				for _, key := range c.keys {
					keys[key] = value
				}
				b.configure(c.file, keys)
			}
			running := newCounter()
			b.start(running.register)
			runningRow := b.submit("holds", nil)
			running.waitHeld(b, 1)
			set(1)
			var names, ids []string
			for range 5 {
				names = append(names, b.submit("count", nil))
				ids = append(ids, b.raw("go", "", call(t, frappe.ExecuteJob, envelope(testSite, "go.fine", nil)), nil))
			}
			close(running.open)
			b.waitRow(runningRow, rows.StatusCompleted)
			time.Sleep(1500 * time.Millisecond) // several rounds of everything
			for _, name := range names {
				if got := b.path(name); got != "Pending Queued" {
					t.Errorf("in maintenance the row %s went %s, want it to wait", name, got)
				}
			}
			for _, id := range append(b.ids(names...), ids...) {
				if j, err := b.client().RQ().Fetch(t.Context(), id); err != nil || j.Status != rqcompat.StatusQueued || !j.StartedAt.IsZero() {
					t.Errorf("in maintenance the job %s is %+v, %v, want it never claimed", id, j, err)
				}
			}
			set(0)
			begin := time.Now()
			for _, name := range names {
				b.waitRow(name, rows.StatusCompleted)
				if got := b.path(name); got != "Pending Queued Running Completed" {
					t.Errorf("afterwards the row %s went %s", name, got)
				}
			}
			for _, id := range ids {
				b.waitJob(id, rqcompat.StatusFinished)
			}
			t.Log(fmt.Sprint("all had ended ", time.Since(begin), " after the end of maintenance"))
		})
	}
}
