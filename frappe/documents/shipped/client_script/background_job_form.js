// The form: what a new job asks for, and of another one its state, live, with what can be done about it.
(() => {
	const { doctype, escape, color, how_long, time_left, attempt, json_error, may, plain, rest } = background_jobs;
	// What only the engine writes.
	const STATE = [
		"owner_user", "status", "waiting_for", "progress", "progress_message", "output_reference", "error_message", "error_type", "log_tail",
		"retry_count", "max_retries", "next_retry_at", "timeout_seconds", "created_at", "started_at", "completed_at", "canceled_at", "canceled_by",
	];

	frappe.ui.form.on(doctype, {
		// Once per form object, which serves all jobs that are opened one after the other.
		setup(frm) {
			plain(doctype);
			plain(doctype, frm.docname); // has its copy already
			const mine = (name) => name === frm.docname && !frm.is_new();
			const reload = frappe.utils.debounce(() => shown(frm) && !frm.is_dirty() && frm.reload_doc(), 200);
			frappe.realtime.on("job_progress", (job) => mine(job.job_id) && progressed(frm, job));
			frappe.realtime.on("job_status_changed", (job) => mine(job.job_id) && reload());
			// Of a deletion Frappe tells with the version that was the last.
			frappe.realtime.on("doc_update", (doc) => {
				if (doc.doctype === doctype && mine(doc.name) && doc.modified === frm.doc.modified) look(frm);
			});
			// A new connection is in none of the rooms that the last one was in.
			frappe.realtime.on("connect", () => frm.follows && reload());
			const open = () => shown(frm) && !frm.is_new() && frm.gone !== frm.docname;
			setInterval(() => open() && tick(frm), 1000);
			setInterval(() => open() && may.Canceled(frm.doc) && look(frm), 3000);
		},
		refresh(frm) {
			frm.toggle_display(STATE, !frm.is_new());
			if (frm.is_new()) return ask(frm);
			// The bar shows them, live.
			frm.toggle_display(["progress", "progress_message"], frm.doc.status !== "Running");
			follow(frm);
			headline(frm);
			tick(frm);
			buttons(frm);
			if (!frm.fields.some((field) => field.disp_status === "Write")) frm.disable_save();
		},
		timeline_refresh: (frm) => history(frm),
		job_type: (frm) => frm.is_new() && sample(frm),
		input_parameters(frm) {
			const error = json_error(frm.doc.input_parameters);
			frm.set_df_property("input_parameters", "description", error && `<span class="text-danger">${error}</span>`);
		},
		validate(frm) {
			const error = json_error(frm.doc.input_parameters);
			if (error) frappe.throw({ title: __("Input Parameters"), message: error });
		},
	});

	const shown = (frm) => cur_frm === frm && !!frm.wrapper.offsetParent;

	// New jobs

	const ask = async (frm) => {
		frm.set_intro(__("The job starts when you save it."), "blue");
		if (frm.doc.job_type && !frm.doc.input_parameters) sample(frm);
		const tenant = frm.get_docfield("organization").options;
		if (frm.doc.organization || !frappe.model.can_read(tenant)) return;
		const own = await frappe.db.get_list(tenant, { limit: 2 });
		if (own.length === 1 && frm.is_new() && !frm.doc.organization) frm.set_value("organization", own[0].name);
	};

	// sample fills in what the Job Type proposes, unless somebody wrote something else already.
	const sample = async (frm) => {
		const name = frm.doc.job_type;
		const type = name && frappe.model.can_read("Job Type") ? await frappe.db.get_doc("Job Type", name) : {};
		if (frm.doc.job_type !== name) return;
		const link = is_url(type.documentation) && `<a href="${escape(type.documentation)}" target="_blank" rel="noopener">${__("Documentation")}</a>`;
		frm.set_df_property("job_type", "description", [escape(type.description), link].filter(Boolean).join(" · "));
		if (!frm.doc.input_parameters || frm.doc.input_parameters === frm.sample) frm.set_value("input_parameters", type.sample_parameters || "");
		frm.sample = type.sample_parameters;
		if (type.default_priority) frm.set_value("priority", type.default_priority);
	};

	// State

	// follow joins the room of the job's events. Frappe does so too, but not twice within a second, nor after a reconnection.
	const follow = (frm) => {
		const wanted = `${frappe.realtime.socket?.id} ${frm.docname}`;
		if (frm.follows === wanted) return;
		frm.follows = wanted;
		frappe.realtime.emit("doc_subscribe", doctype, frm.docname);
	};

	const headline = (frm) => {
		const job = frm.doc;
		const why = may.Queued(job) ? job.error_message : ["Pending", "Queued"].includes(job.status) ? job.waiting_for : "";
		const parts = [
			`<b style="font-size: var(--text-xl)">${__(escape(job.status))}</b>`, `<span class="job-how-long"></span>`, attempt(job),
		];
		frm.set_intro("");
		frm.set_intro(parts.join(" · ") + (why ? `<div class="small">${escape(why.split("\n")[0].slice(0, 300))}</div>` : ""),
			color(job.status));
	};

	// tick shows what changes by itself.
	const tick = (frm) => {
		const place = frm.wrapper.querySelector(".job-how-long");
		if (place) place.textContent = how_long(frm.doc);
		if (frm.doc.status !== "Running") return;
		const text = [frm.doc.progress_message, time_left(frm.doc)].filter(Boolean).join(" · ");
		// The first text of a bar is taken for HTML, the later ones aren't.
		frm.dashboard.show_progress(__("Progress"), frm.doc.progress, "");
		frm.dashboard.show_progress(__("Progress"), frm.doc.progress, text);
	};

	const progressed = (frm, { progress, progress_message }) => {
		frm.doc.progress = progress;
		if (progress_message !== undefined) frm.doc.progress_message = progress_message;
		if (shown(frm)) tick(frm);
	};

	// look asks for what no event tells: why the job waits, what it logged, and whether it is still there.
	const look = async (frm) => {
		const name = frm.docname;
		const fields = ["waiting_for", "log_tail"].filter((field) => frm.get_docfield(field));
		const query = new URLSearchParams({ doctype, filters: JSON.stringify({ name }), fieldname: JSON.stringify(["name", ...fields]) });
		const { message: row } = await rest("GET", `/api/method/frappe.client.get_value?${query}`);
		if (frm.docname !== name || frm.gone === name) return;
		if (!row?.name) return gone(frm);
		const changed = fields.filter((field) => (row[field] || "") !== (frm.doc[field] || ""));
		for (const field of changed) {
			frm.doc[field] = row[field];
			frm.refresh_field(field);
		}
		if (changed.includes("waiting_for")) headline(frm);
	};

	const gone = (frm) => {
		frm.gone = frm.docname;
		frm.clear_custom_buttons();
		frm.disable_save();
		frm.set_intro("");
		frm.set_intro(__("This job was deleted."), "red");
	};

	const history = async (frm) => {
		const info = frm.get_docinfo();
		if (frm.is_new() || !info || info.job_history || !frappe.model.can_read("Job Execution Log")) return;
		info.job_history = true;
		const log = await frappe.db.get_list("Job Execution Log", {
			filters: { background_job: frm.docname }, fields: ["to_status", "timestamp", "actor", "message"], order_by: "timestamp desc", limit: 100,
		});
		if (!log.length) return;
		info.additional_timeline_content = (info.additional_timeline_content || []).concat(log.map((move) => ({
			creation: move.timestamp,
			content: [
				`<span class="indicator-pill no-indicator-dot ${color(move.to_status)}">${__(escape(move.to_status))}</span>`,
				__(escape(move.message)), move.actor && escape(frappe.user.full_name(move.actor)),
			].filter(Boolean).join(" · "),
		})));
		if (frm.get_docinfo() === info) frm.timeline.refresh();
	};

	// What can be done

	const buttons = (frm) => {
		const job = frm.doc;
		const add = (label, type, action) => {
			frm.add_custom_button(label, action);
			frm.change_custom_button_type(label, null, type);
		};
		const open = opener(job.output_reference);
		if (open) add(__("Open Output"), "primary", open);
		if (job.error_message) add(__("Open Traceback"), "default", () => traceback(frm));
		if (!frm.has_perm("write")) return;
		if (may.Canceled(job)) add(__("Cancel"), "danger", () => frappe.confirm(__("Cancel this job?"), () => write(frm, { status: "Canceled" })));
		if (may.Queued(job)) {
			add(__("Retry"), "primary", async () => {
				if (frm.is_dirty()) await frm.save();
				return write(frm, { status: "Queued" });
			});
			add(__("Retry with Changed Parameters"), "default", () => retry(frm));
		}
	};

	const write = (frm, values) => frappe.db.set_value(doctype, frm.docname, values).then(() => frm.reload_doc());

	const retry = (frm) => {
		const dialog = new frappe.ui.Dialog({
			title: __("Retry with Changed Parameters"),
			fields: [{ fieldname: "input_parameters", fieldtype: "JSON", label: __("Input Parameters") }],
			primary_action_label: __("Retry"),
			primary_action({ input_parameters }) {
				const error = json_error(input_parameters);
				dialog.set_df_property("input_parameters", "description", error && `<span class="text-danger">${error}</span>`);
				if (error) return;
				dialog.hide();
				write(frm, { status: "Queued", input_parameters: input_parameters || "" });
			},
		});
		dialog.show();
		dialog.set_value("input_parameters", frm.doc.input_parameters);
	};

	const is_url = (text) => /^(https?:\/\/|\/(?!\/))/.test(text || "");

	// opener opens a URL, a file of the site or a document named as DocType/name; other outputs are texts.
	const opener = (reference) => {
		if (is_url(reference)) return () => window.open(reference, "_blank", "noopener");
		const [, type, name] = /^([^/]+)\/(.+)$/.exec(reference || "") || [];
		return type && frappe.model.can_read(type) && (() => frappe.set_route("Form", type, name));
	};

	const traceback = async (frm) => {
		const name = frm.docname;
		const [log] = frappe.model.can_read("Error Log")
			? await frappe.db.get_list("Error Log", { filters: { reference_doctype: doctype, reference_name: name }, order_by: "creation desc", limit: 1 })
			: [];
		if (log) return frappe.set_route("Form", "Error Log", log.name);
		frappe.msgprint({ title: __("Traceback"), message: `<pre class="small">${escape(frm.doc.error_message)}</pre>`, wide: true });
	};
})();
