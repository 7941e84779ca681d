// The list: live, with bars, and with what can be done to several jobs at once.
(() => {
	const { doctype, escape, color, how_long, attempt, may, plain, rest } = background_jobs;

	plain(doctype);

	frappe.listview_settings[doctype] = Object.assign(frappe.listview_settings[doctype] || {}, {
		add_fields: [
			"job_type", "organization", "owner_user", "status", "progress", "progress_message", "retry_count", "max_retries",
			"created_at", "started_at", "completed_at", "canceled_at", "next_retry_at",
		],
		get_indicator: (job) => [__(job.status), color(job.status), `status,=,${job.status}`],
		formatters: {
			progress: (_value, _field, job) => `<div class="job-progress">${progress(job)}</div>`,
			// A name may have quotes in it, which the stock list puts into an attribute as they are.
			organization: (name) => `<a class="filterable ellipsis" data-filter="organization,=,${escape(name)}">${escape(name)}</a>`,
		},
		onload(list) {
			// What the list kept of an earlier visit may be DESC; when it sorts what came live, it looks for desc.
			list.sort_order = list.sort_order.toLowerCase();
			if (list.view_name !== "List") return;
			live(list);
			filters(list);
			if (list.can_write) actions(list);
		},
		refresh: (list) => list.view_name === "List" && follow(list),
	});

	const progress = (job) => {
		const percent = Math.min(100, Math.max(0, Math.round(job.progress || 0)));
		const words = [how_long(job), job.retry_count ? attempt(job) : "", job.status === "Running" ? job.progress_message : ""];
		const text = words.filter(Boolean).map(escape).join(" · ");
		return `<div class="progress" style="margin: 0" role="progressbar" aria-valuemin="0" aria-valuemax="100" aria-valuenow="${percent}">
				<div class="progress-bar progress-bar-success" style="width: ${percent}%"></div>
			</div>
			<div class="small text-muted ellipsis" dir="auto" style="text-align: start" title="${text}">${text}</div>`;
	};

	// Live

	const live = (list) => {
		const shown = () => cur_list === list && !!list.$result[0].offsetParent;
		// The stock list waits for a pause, which a busy site doesn't make.
		const fetch = frappe.utils.throttle(() => list.process_document_refreshes(), 2000);
		list.show_live = (name) => {
			if (!shown() || list.avoid_realtime_update() || list.$checks?.length) return;
			list.pending_document_refreshes.push({ doctype, name });
			fetch();
		};
		frappe.realtime.on("job_status_changed", (job) => list.show_live(job.job_id));
		frappe.realtime.on("job_progress", (event) => {
			const job = shown() && list.data.find((row) => row.name === event.job_id);
			if (!job || job.status !== event.status) return;
			Object.assign(job, { progress: event.progress, progress_message: event.progress_message ?? job.progress_message });
			draw(list, [job]);
		});
		list.on_list_update = (data) => data.doctype === doctype && list.show_live(data.name);
		setInterval(() => shown() && draw(list, list.data.filter((job) => may.Canceled(job) || job.next_retry_at)), 1000);
	};

	const draw = (list, jobs) => {
		const named = new Map(jobs.map((job) => [job.name, job]));
		for (const box of list.$result[0].querySelectorAll(".list-row-checkbox")) {
			const job = named.get(box.dataset.name);
			const cell = job && box.closest(".list-row-container").querySelector(".job-progress");
			if (cell) cell.innerHTML = progress(job);
		}
	};

	// follow joins the rooms that tell of the jobs shown: progress is told to members of an organization, of whom a manager
	// is none. The stock list doesn't listen any more once another list was open.
	const follow = (list) => {
		if (list.list_view_settings?.disable_auto_refresh) return;
		if (!list.realtime_events_setup) list.setup_realtime_updates();
		frappe.realtime.off("list_update", list.on_list_update);
		frappe.realtime.on("list_update", list.on_list_update);
		const connection = frappe.realtime.socket?.id;
		if (!list.followed || list.connection !== connection) list.followed = new Set();
		list.connection = connection;
		const tenant = frappe.meta.get_docfield(doctype, "organization").options;
		for (const { organization } of list.data.filter(may.Canceled)) {
			if (list.followed.has(organization) || list.followed.size >= 20) continue;
			list.followed.add(organization);
			frappe.realtime.emit("doc_subscribe", tenant, organization);
		}
	};

	// Filters and actions

	const filters = (list) => {
		const only = (label, field, value) => list.page.add_inner_button(label, () =>
			list.filter_area.clear(false).then(() => list.filter_area.add([[doctype, field, "=", value]])));
		only(__("Running"), "status", "Running");
		only(__("Dead Letters"), "status", "Dead Letter");
		only(__("Mine"), "owner_user", frappe.session.user);
	};

	const actions = (list) => {
		const add = (label, question, status, done) => list.page.add_actions_menu_item(label, () => {
			const jobs = list.get_checked_items();
			frappe.confirm(question(jobs.length), () => act(list, jobs, status, done));
		});
		add(__("Cancel Jobs"), (n) => __("Cancel {0} jobs?", [n]), "Canceled", (n) => __("{0} canceled", [n]));
		add(__("Retry Jobs"), (n) => __("Retry {0} jobs?", [n]), "Queued", (n) => __("{0} queued again", [n]));
	};

	const act = async (list, jobs, status, done) => {
		const wanted = jobs.filter(may[status]);
		const refused = [];
		list.disable_list_update = true;
		frappe.dom.freeze();
		for (const { name } of wanted) {
			try {
				await rest("PUT", `/api/resource/${encodeURIComponent(doctype)}/${encodeURIComponent(name)}`, { status });
			} catch (error) {
				refused.push([name, error.message]);
			}
		}
		frappe.dom.unfreeze();
		list.disable_list_update = false;
		list.clear_checked_items();
		list.refresh();
		const lines = [done(wanted.length - refused.length)];
		if (jobs.length > wanted.length) lines.push(__("{0} left as they are: their state doesn't allow it", [jobs.length - wanted.length]));
		for (const [name, answer] of refused) lines.push(`${escape(name)}: ${escape(answer)}`);
		frappe.msgprint({ title: __("Background Jobs"), message: lines.join("<br>"), indicator: refused.length ? "orange" : "green" });
	};
})();
