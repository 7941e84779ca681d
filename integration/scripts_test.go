package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/frappe/realtime"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// evil is a text that runs as a script wherever it is taken for HTML.
const evil = `<img src=x onerror="window.attacked = 1">`

// TestClientScripts opens the desk's list and form with the scripts that we ship, while a real job runs.
func TestClientScripts(t *testing.T) {
	s := newStory(t, "1.15.1")
	if _, err := s.db.InsertJobTypes(t.Context(), []rows.JobType{
		{TypeName: "export", DisplayName: "Export", Enabled: true, HandlerMethod: "app.export", DefaultTimeout: 60, DefaultPriority: "Normal", MaxRetries: 2},
		{TypeName: "shown", DisplayName: "Shown", Enabled: true, HandlerMethod: "app.shown", DefaultTimeout: 60, DefaultPriority: "Normal", MaxRetries: 2},
	}); err != nil {
		t.Fatal(err)
	}
	p := openDesk(t, s, s.jane)
	s.start(s.register)
	p.do("await desk.list()")

	t.Run("live", func(t *testing.T) { liveScripts(t, s, p.of(t)) })
	t.Run("buttons", func(t *testing.T) { buttonScripts(t, s, p.of(t)) })
	t.Run("new", func(t *testing.T) { newScripts(t, s, p.of(t)) })
	t.Run("several", func(t *testing.T) { severalScripts(t, s, p.of(t)) })
	t.Run("texts", func(t *testing.T) { textScripts(t, s, p.of(t)) })
	t.Run("other pages", func(t *testing.T) { otherPages(t, s, p.of(t)) })
	t.Run("job type", func(t *testing.T) { jobTypeScripts(t, s, p.of(t)) })

	// The page looks for texts that ran once all is on the screen.
	want(t, "scripts that ran out of texts", p.value("window.attacked || 0"), "0")
	for _, e := range p.Errors() {
		if !strings.Contains(e, "JOB-forbidden") {
			t.Errorf("the page reported %s", e)
		}
	}
}

// liveScripts follows a job in the list and in the form.
func liveScripts(t *testing.T, s *story, p *deskPage) {
	s.frappeEnqueue("go", "app.export", values{"organization": "ORG-A", "year": 2026, "user": s.jane.Name})
	p.await(`desk.opened.data.some((job) => job.status === "Running")`) // a row that wasn't there
	name := strings.Trim(p.value(`desk.opened.data.find((job) => job.status === "Running").name`), `"`)
	p.await(fmt.Sprintf(`desk.opened.row(%q).textContent.includes("runs for 2s")`, name)) // goes on by itself

	before := p.value("desk.opened.fetches")
	step := func(bar string) {
		s.step <- struct{}{}
		<-s.reported
		began := time.Now()
		p.await(bar)
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("the bar moved after %s", took)
		}
	}
	step(fmt.Sprintf(`desk.opened.bar(%q) === "25%%" && desk.opened.row(%q).textContent.includes("Year 2026")`, name, name))
	want(t, "requests for a bar of the list", p.value("desk.opened.fetches"), before)

	p.do("await desk.open(%s)", name)
	p.await(`desk.form.text().includes("Running") && desk.form.text().includes("Attempt 1 of 3") && "Cancel" in desk.form.buttons`)
	want(t, "may be saved", p.value("desk.form.save_disabled"), "true")
	reloads := p.value("desk.form.reloads")
	time.Sleep(1100 * time.Millisecond) // one report a second
	step(`desk.form.bar() === "60%" && desk.form.text().includes("Year 2026 · about ")`)
	want(t, "requests for a bar of the form", p.value("desk.form.reloads"), reloads)
	want(t, "changed by a bar", p.value("desk.form.is_dirty()"), "false")

	s.step <- struct{}{}
	p.await(`desk.form.text().includes("Completed") && "Open Output" in desk.form.buttons && !("Cancel" in desk.form.buttons)`)
	p.await(`document.querySelector(".timeline").textContent.includes("Worker started execution")`)
	p.do(`desk.form.buttons["Open Output"]()`)
	want(t, "opened", p.value(`asked.popups.pop()`), `["open","/files/export.csv"]`)
	p.do("await desk.list()")
	p.await(fmt.Sprintf(`desk.opened.row(%q).textContent.includes("Completed")`, name))

	// Newest on top, also of what came live.
	s.frappeEnqueue("go", "echo_job", values{"organization": "ORG-A", "user": s.jane.Name})
	p.await(`desk.opened.data.length === 2`)
	p.await(`desk.opened.data[1].name === ` + fmt.Sprintf("%q", name))
}

// buttonScripts looks at what the buttons write, which is what any client may.
func buttonScripts(t *testing.T, s *story, p *deskPage) {
	job(t, s, "JOB-W", map[string]string{"status": "Queued"})
	p.do(`await desk.open("JOB-W")`)
	s.exec(t, "UPDATE `tabBackground Job` SET waiting_for = 'A lock, "+evil+"', log_tail = 'line 1' WHERE name = 'JOB-W'") // of which no event tells
	p.await(`desk.form.text().includes("A lock, <img") && desk.form.shown.log_tail === "line 1"`)
	p.do(`await desk.form.buttons.Cancel()`)
	want(t, "write", p.value("asked.writes.pop()"), `["JOB-W",{"status":"Canceled"}]`)
	want(t, "buttons of a canceled job", p.value("Object.keys(desk.form.buttons)"), `[]`)
	want(t, "asked", p.value("asked.popups.pop()"), `["confirm","Cancel this job?"]`)

	job(t, s, "JOB-D", map[string]string{"status": "Dead Letter", "error_message": "boom\\nline 2", "input_parameters": `{"n": 12345678901234567890}`})
	p.do(`await desk.open("JOB-D")`)
	want(t, "buttons of a dead letter", p.value("Object.keys(desk.form.buttons)"), `["Open Traceback","Retry","Retry with Changed Parameters"]`)
	p.do(`await desk.form.buttons["Open Traceback"]()`)
	want(t, "traceback", p.value(`asked.popups.pop()[1].includes("line 2")`), "true")
	p.do(`await desk.form.buttons.Retry()`)
	want(t, "write", p.value("asked.writes.pop()"), `["JOB-D",{"status":"Queued"}]`)

	job(t, s, "JOB-D", map[string]string{"status": "Dead Letter"})
	p.do(`await desk.form.reload_doc(); desk.form.buttons["Retry with Changed Parameters"]()`)
	want(t, "parameters as they are", p.value("desk.dialog.values.input_parameters"), `"{\"n\": 12345678901234567890}"`)
	p.do(`desk.dialog.set_value("input_parameters", "{n: 1}"); await desk.dialog.submit()`)
	want(t, "JSON that isn't", p.value(`[desk.dialog.shown, desk.dialog.description.includes("no valid JSON"), asked.writes.length]`), `[true,true,0]`)
	p.do(`desk.dialog.set_value("input_parameters", '{"n": 1}'); await desk.dialog.submit()`)
	want(t, "write", p.value("asked.writes.pop()"), `["JOB-D",{"status":"Queued","input_parameters":"{\"n\": 1}"}]`)

	p.do(`desk.read_only = true; await desk.open("JOB-W")`)
	job(t, s, "JOB-W", map[string]string{"status": "Running"})
	p.do(`await desk.form.reload_doc()`)
	want(t, "buttons of who may only read", p.value("Object.keys(desk.form.buttons)"), `[]`)
	p.do(`desk.read_only = false`)

	// Ten times the same form, and another one: it listens once.
	listeners := func() string {
		return p.value(`[asked.listeners("job_progress"), asked.listeners("job_status_changed"), asked.listeners("doc_update"), asked.timers]`)
	}
	once := listeners()
	p.do(`for (let i = 0; i < 10; i++) await desk.form.refresh(); await desk.open("JOB-D"); for (let i = 0; i < 10; i++) await desk.list(); await desk.open("JOB-W")`)
	want(t, "listeners after ten refreshes", listeners(), once)
	want(t, "list's listeners", p.value(`asked.listeners("list_update")`), "1")

	// A deletion is told with the version that the form has.
	modified := strings.Trim(p.value("desk.form.doc.modified"), `"`)
	s.exec(t, "DELETE FROM `tabBackground Job` WHERE name = 'JOB-W'")
	publish(t, s, "doc_update", map[string]any{"doctype": "Background Job", "name": "JOB-W", "modified": modified})
	p.await(`desk.form.text().includes("This job was deleted") && !Object.keys(desk.form.buttons).length && desk.form.save_disabled`)
	time.Sleep(1100 * time.Millisecond)
	want(t, "it goes on saying so", p.value(`desk.form.text().includes("This job was deleted")`), "true")
}

// newScripts fills in the form of a new job.
func newScripts(t *testing.T, s *story, p *deskPage) {
	s.exec(t, "DELETE FROM tabOrganization WHERE name = 'ORG-B'", "UPDATE `tabJob Type` SET default_priority = 'High' WHERE name = 'export'")
	p.do(`await desk.open("new-1")`)
	p.await(`desk.form.doc.organization === "ORG-A"`)
	want(t, "shows state", p.value("desk.form.hidden.status"), "true")
	s.exec(t, "UPDATE `tabJob Type` SET description = '"+evil+"' WHERE name = 'export'")
	p.do(`await desk.form.set_value("job_type", "export")`)
	p.await(`desk.form.doc.priority === "High"`)
	p.do(`await desk.form.set_value("input_parameters", "{year: 2026}")`)
	want(t, "said at once", p.value(`desk.form.descriptions.input_parameters.includes("no valid JSON")`), "true")
	var problem string
	if err := p.Eval(t.Context(), `desk.form.save().then(() => "", (e) => e.message)`, &problem); err != nil || !strings.Contains(problem, "no valid JSON") {
		t.Errorf("saved with %q, %v", problem, err)
	}
	want(t, "written", p.value("[asked.writes.length, asked.popups.pop()[0]]"), `[0,"msgprint"]`)
	p.do(`await desk.form.set_value("input_parameters", '{"year": 2026}'); await desk.form.save()`)
	want(t, "written", p.value("asked.writes.pop()[1].input_parameters"), `"{\"year\": 2026}"`)
}

// severalScripts cancels and retries by the list.
func severalScripts(t *testing.T, s *story, p *deskPage) {
	for name, status := range map[string]string{"JOB-S1": "Queued", "JOB-S2": "Completed", "JOB-forbidden": "Running", "JOB-S3": "Dead Letter"} {
		job(t, s, name, map[string]string{"status": status})
	}
	p.do(`await desk.list(); desk.opened.checked = ["JOB-S1", "JOB-S2", "JOB-forbidden"]; desk.opened.actions["Cancel Jobs"]()`)
	p.await(`asked.popups.some(([kind, text]) => kind === "msgprint" && text.includes("1 canceled"))`)
	summary := p.value(`asked.popups.pop()[1]`)
	if want := `"1 canceled<br>1 left as they are: their state doesn't allow it<br>JOB-forbidden: PermissionError"`; summary != want {
		t.Errorf("summary %s, want %s", summary, want)
	}
	p.await(`desk.opened.row("JOB-S1").textContent.includes("Canceled")`)
	p.do(`desk.opened.checked = ["JOB-S3"]; desk.opened.actions["Retry Jobs"]()`)
	p.await(`desk.opened.row("JOB-S3").textContent.includes("Queued")`)
	p.do(`await desk.opened.buttons.Mine()`)
	want(t, "filter", p.value("desk.opened.filters"), `[["Background Job","owner_user","=","jane@example.com"]]`)
	p.do(`asked.popups.length = 0`)
}

// textScripts shows texts of handlers and users that would run as HTML.
func textScripts(t *testing.T, s *story, p *deskPage) {
	job(t, s, "JOB-X", map[string]string{
		"status": "Running", "progress_message": evil, "organization": `A" onmouseover="attacked=1` + evil, "output_reference": "javascript:attacked=1",
		"error_message": evil, "input_parameters": `{"x": "<img src=x onerror=attacked=1>"}`, "started_at": "2026-01-01 10:00:00.000001",
	})
	s.exec(t, "INSERT INTO `tabJob Execution Log` (name, creation, modified, owner, modified_by, background_job, to_status, timestamp, message, actor) VALUES "+
		"('L-1', NOW(6), NOW(6), 'Administrator', 'Administrator', 'JOB-X', '"+evil+"', NOW(6), '"+evil+"', '"+evil+"')")
	p.do(`await desk.list()`)
	publish(t, s, bridge.EventProgress, map[string]any{"job_id": "JOB-X", "status": "Running", "progress": 50, "progress_message": evil + "1"})
	p.await(`desk.opened.row("JOB-X").textContent.includes("attacked = 1") && desk.opened.bar("JOB-X") === "50%"`)
	p.do(`await desk.open("JOB-X")`)
	publish(t, s, bridge.EventProgress, map[string]any{"job_id": "JOB-X", "status": "Running", "progress": 60, "progress_message": evil + "2"})
	p.await(`desk.form.bar() === "60%" && document.querySelector(".timeline").textContent.includes("attacked")`)
	for _, status := range []string{"Queued", "Dead Letter", "Failed"} {
		job(t, s, "JOB-X", map[string]string{"status": status, "waiting_for": evil, "error_message": evil})
		p.do(`await desk.form.reload_doc(); await desk.form.buttons["Open Traceback"]?.()`)
	}
	want(t, "elements out of texts", p.value(`document.querySelectorAll("img, [onmouseover], [onerror]").length`), "0")
	want(t, "opens", p.value(`"Open Output" in desk.form.buttons`), "false")
	p.do(`asked.popups.length = 0`)
	time.Sleep(200 * time.Millisecond)
}

// otherPages goes elsewhere: nothing pops up there, and nothing is asked of the site.
func otherPages(t *testing.T, s *story, p *deskPage) {
	job(t, s, "JOB-O", map[string]string{"status": "Running", "started_at": "2026-01-01 10:00:00.000001"})
	p.do(`await desk.list(); await desk.open("JOB-O"); desk.show("elsewhere"); window.heard = 0; frappe.realtime.on("job_progress", () => heard++)`)
	p.do(`window.state = () => JSON.stringify([desk.form.reloads, desk.opened.fetches, document.body.innerHTML]); window.before = state()`)
	publish(t, s, bridge.EventStatusChanged, map[string]any{"job_id": "JOB-O", "from_status": "Running", "to_status": "Completed"})
	publish(t, s, "list_update", map[string]any{"doctype": "Background Job", "name": "JOB-O"})
	publish(t, s, bridge.EventProgress, map[string]any{"job_id": "JOB-O", "status": "Completed", "progress": 100})
	p.await("heard")
	time.Sleep(2500 * time.Millisecond)
	want(t, "asks the site for nothing, draws nothing", p.value("state() === before"), "true")
	want(t, "popups", p.value("asked.popups"), "[]")

	// A form of another job isn't moved.
	job(t, s, "JOB-P", map[string]string{"status": "Running", "started_at": "2026-01-01 10:00:00.000001"})
	p.do(`await desk.open("JOB-P"); heard = 0`)
	publish(t, s, bridge.EventProgress, map[string]any{"job_id": "JOB-O", "status": "Running", "progress": 77})
	p.await("heard")
	want(t, "bar", p.value("desk.form.bar()"), `"0%"`)
}

func jobTypeScripts(t *testing.T, s *story, p *deskPage) {
	p.do(`await desk.open("export", "Job Type")`)
	p.await(`desk.form.text().includes("Last 24 Hours")`)
	want(t, "New Job", p.value(`"New Job" in desk.form.buttons`), "true")
	p.do(`desk.form.doc.handled_at = "2026-01-01 10:00:00.000001"; await desk.form.refresh()`)
	want(t, "nobody", p.value(`[desk.form.intro_color, desk.form.text().includes("Nobody handles this Job Type")]`), `["red",true]`)
	p.do(`desk.form.doc.handled_at = new Date(Date.now() + 5.5 * 3600000).toISOString().slice(0, 19).replace("T", " "); desk.form.doc.handled_by = %s; await desk.form.refresh()`, "host:1 since 2026-01-01 10:00:00\n"+evil)
	want(t, "somebody", p.value(`[desk.form.intro_color, desk.form.text().includes("Handled by host:1 since 2026-01-01 10:00:00 here")]`), `["green",true]`)
}

// job writes a row of jane's, or changes it, as it is when somebody opens it. Nobody handles its Job Type: a bridge would deliver a row
// that says Queued, and run it.
func job(t *testing.T, s *story, name string, fields map[string]string) {
	t.Helper()
	s.exec(t, "INSERT IGNORE INTO `tabBackground Job` (name, creation, modified, owner, modified_by, job_type, organization, owner_user, status, progress) VALUES ("+
		"'"+name+"', NOW(6), NOW(6), 'jane@example.com', 'jane@example.com', 'shown', 'ORG-A', 'jane@example.com', 'Pending', 0)")
	for field, value := range fields {
		s.exec(t, "UPDATE `tabBackground Job` SET modified = NOW(6), `"+field+"` = '"+value+"' WHERE name = '"+name+"'")
	}
}

// publish sends what the desk of the job's owner is told.
func publish(t *testing.T, s *story, event string, message map[string]any) {
	t.Helper()
	publisher := realtime.NewPublisher(s.rdb, s.cfg.Log)
	if err := publisher.Publish(t.Context(), realtime.Event{Name: event, Site: site, Rooms: []string{realtime.RoomUser(s.jane.Name)}, Message: message}); err != nil {
		t.Fatal(err)
	}
}
