// The form of a Job Type: who handles it, and its figures of the last day.
(() => {
	const { doctype, states, escape, color, time, duration } = background_jobs;

	frappe.ui.form.on("Job Type", {
		refresh(frm) {
			if (frm.is_new()) return;
			handled(frm);
			figures(frm);
			if (frappe.model.can_create(doctype) && frm.doc.is_enabled) {
				frm.add_custom_button(__("New Job"), () => frappe.new_doc(doctype, { job_type: frm.docname }));
			}
		},
	});

	// Whoever handles a Job Type says so each minute.
	const SILENT = 3 * 60 * 1000;

	const handled = (frm) => {
		if (!frm.get_docfield("handled_at")) return;
		const at = frm.doc.handled_at && time(frm.doc.handled_at);
		frm.set_intro("");
		if (at && Date.now() - at < SILENT) {
			const who = escape(frm.doc.handled_by).replace(/\n/g, "<br>");
			// Its times are the site's, as in any column.
			const local = who.replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, (at) => frappe.datetime.str_to_user(at));
			frm.set_intro(__("Handled by {0}", [local]), "green");
		} else {
			const since = at ? `, ${__("the last time {0}", [comment_when(frm.doc.handled_at)])}` : "";
			frm.set_intro(__("Nobody handles this Job Type") + since, "red");
		}
	};

	const figures = async (frm) => {
		if (!frappe.model.can_read(doctype)) return;
		const name = frm.docname;
		const day = frappe.datetime.add_days(frappe.datetime.system_datetime(), -1);
		const of_day = (status) => [["job_type", "=", name], ["status", "=", status], ["modified", ">", day]];
		const [completed, ...counts] = await Promise.all([
			frappe.db.get_list(doctype, {
				filters: of_day("Completed"), fields: ["started_at", "completed_at"], order_by: "modified desc", limit: 100,
			}),
			...states.map((status) => frappe.db.count(doctype, { filters: of_day(status) })),
		]);
		if (frm.docname !== name) return;
		const shown = states.map((status, i) => [color(status), __(status), counts[i]]).filter(([, , count]) => count);
		const took = completed.filter((job) => job.started_at && job.completed_at).map((job) => time(job.completed_at) - time(job.started_at));
		if (took.length) {
			shown.push(["blue", __("Average"), duration(took.reduce((sum, ms) => sum + ms) / took.length)]);
		}
		if (!shown.length) return;
		const cells = shown.map(([color, what, figure]) => `<div class="col-sm-3"><span class="indicator ${color}">${what}: ${figure}</span></div>`);
		frm.dashboard.add_section(`<div class="row">${cells.join("")}</div>`, __("Last 24 Hours"));
		frm.dashboard.show();
	};
})();
