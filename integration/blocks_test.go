package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// TestWorkspaceBlocks opens the blocks of the workspace, while a real job runs.
func TestWorkspaceBlocks(t *testing.T) {
	s := newStory(t, "1.15.1")
	if _, err := s.db.InsertJobTypes(t.Context(), []rows.JobType{{TypeName: "export", DisplayName: "Export", Enabled: true, HandlerMethod: "app.export", DefaultTimeout: 60, DefaultPriority: "Normal", MaxRetries: 2}}); err != nil {
		t.Fatal(err)
	}
	p := openDesk(t, s, s.jane)
	s.start(s.register)

	listeners := p.value(`asked.listeners("job_progress")`)
	p.do(`await desk.block("Background Jobs Running Now")`)
	p.await(`desk.shown.querySelector(".nothing").hidden === false`)

	s.frappeEnqueue("go", "app.export", values{"organization": "ORG-A", "year": 2026, "user": s.jane.Name})
	p.await(`desk.shown.querySelectorAll(".job").length === 1 && desk.shown.querySelector(".nothing").hidden`)
	lists := p.value("asked.lists")
	s.step <- struct{}{}
	<-s.reported
	p.await(`desk.shown.querySelector(".done").style.width === "25%" && desk.shown.querySelector(".step").textContent === "Year 2026"`)
	want(t, "requests for a bar", p.value("asked.lists"), lists)
	p.await(`desk.shown.querySelector(".since").textContent === "2s"`) // goes on by itself

	// The longest first, and texts are texts. However much happens, there is a request every two seconds.
	job(t, s, "JOB-E", map[string]string{"status": "Running", "job_type": evil, "organization": evil, "progress_message": evil, "started_at": "2026-01-01 00:00:00"})
	lists = p.value("asked.lists")
	for i := range 50 {
		publish(t, s, "job_status_changed", map[string]any{"job_id": fmt.Sprint(i)})
	}
	p.await(`desk.shown.querySelectorAll(".job").length === 2`)
	want(t, "first", p.value(`desk.shown.querySelector(".job").href.endsWith("/app/background-job/JOB-E")`), "true")
	for _, part := range []string{"what", "whose", "step"} {
		want(t, part, p.value(`desk.shown.querySelector(".`+part+`").textContent.includes("<img")`), "true")
	}
	time.Sleep(1500 * time.Millisecond)
	want(t, "requests for fifty events at once, less than three more than "+lists, p.value("asked.lists - "+lists+" < 3"), "true")

	s.step <- struct{}{}
	<-s.reported
	s.step <- struct{}{}
	p.await(`desk.shown.querySelectorAll(".job").length === 1`) // the one that has ended is gone

	// A block that is taken off listens no longer.
	s.exec(t, "UPDATE `tabBackground Job` SET status = 'Completed' WHERE name = 'JOB-E'")
	p.do(`await desk.block("Background Jobs Oldest Waiting")`)
	p.await(`desk.shown.querySelector(".age").textContent === "–"`)
	p.await(`asked.listeners("job_progress") === ` + listeners)

	job(t, s, "JOB-1", map[string]string{"status": "Queued"})
	job(t, s, "JOB-2", map[string]string{"status": "Pending"})
	s.exec(t, "UPDATE `tabBackground Job` SET modified = '2026-01-01 00:00:00' WHERE name = 'JOB-1'")
	p.do(`await desk.block("Background Jobs Oldest Waiting")`)
	p.await(`desk.shown.querySelector("a").href.endsWith("/JOB-1") && /^\d+h/.test(desk.shown.querySelector(".age").textContent)`)

	want(t, "scripts that ran out of texts", p.value("window.attacked || 0"), "0")
	if errs := p.Errors(); len(errs) > 0 {
		t.Errorf("the page reported %s", strings.Join(errs, "; "))
	}
}
