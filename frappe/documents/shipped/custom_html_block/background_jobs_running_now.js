// What runs now, longest first, as far as the reader may read it: rows come through Frappe's own list, steps through the
// rooms of single documents, which Frappe lets into whoever may read the row. All texts are set as text.
const doctype = "Background Job";
const find = (selector) => root_element.querySelector(selector);
const rows = new Map(); // of the jobs that are shown, by name
const followed = new Set();
let asked_at = 0;
let waiting = false;

find(".title").textContent = __("Running Now");
find(".nothing").textContent = __("Nothing is running.");

function make_row(job) {
	const row = document.createElement("a");
	row.className = "job";
	row.href = frappe.utils.get_form_link(doctype, job.name);
	const add = (parent, name) => {
		const part = document.createElement("div");
		part.className = name;
		parent.appendChild(part);
		return part;
	};
	// Names and steps keep their own direction in a language that is written from right to left.
	const text = (name) => add(row, name).appendChild(document.createElement("bdi"));
	const parts = { what: text("what"), whose: text("whose"), step: text("step") };
	for (const name of ["bar", "percent", "since"]) parts[name] = add(row, name);
	parts.whose.classList.add("text-muted");
	parts.step.classList.add("text-muted");
	parts.done = add(parts.bar, "done");
	parts.what.textContent = job.job_type;
	row.title = job.name;
	parts.whose.textContent = job.organization;
	parts.began = job.started_at && moment.tz(job.started_at, frappe.boot.time_zone.system);
	return { row, parts };
}

function show_progress({ parts }, percent, step) {
	parts.done.style.width = `${percent}%`;
	parts.percent.textContent = `${Math.floor(percent)} %`;
	if (step !== undefined) parts.step.textContent = parts.step.title = step || "";
}

function show_times() {
	for (const { parts } of rows.values()) {
		if (parts.began) parts.since.textContent = frappe.utils.get_formatted_duration(Math.max(0, moment().diff(parts.began, "seconds")));
	}
}

function load() {
	asked_at = Date.now();
	return frappe.db
		.get_list(doctype, {
			fields: ["name", "job_type", "organization", "progress", "progress_message", "started_at"],
			filters: { status: "Running" },
			order_by: "started_at asc",
			limit: 10,
		})
		.then((jobs) => {
			const before = new Map(rows);
			rows.clear();
			for (const job of jobs) {
				const shown = before.get(job.name) || make_row(job);
				rows.set(job.name, shown);
				show_progress(shown, job.progress, job.progress_message);
				if (!followed.has(job.name)) frappe.realtime.emit("doc_subscribe", doctype, job.name);
				followed.add(job.name);
			}
			find(".jobs").replaceChildren(...Array.from(rows.values(), ({ row }) => row));
			find(".nothing").hidden = rows.size > 0;
			show_times();
		});
}

// However much happens, the list is asked for every two seconds at most.
function load_soon() {
	if (waiting) return;
	waiting = true;
	setTimeout(() => {
		waiting = false;
		if (root_element.host.isConnected) load();
	}, Math.max(200, asked_at + 2000 - Date.now()));
}

const listeners = {
	// It comes with its text to the rooms of those who may read it, and without to members of the organization: to some both.
	job_progress(event) {
		const shown = rows.get(event.job_id);
		if (shown) show_progress(shown, event.progress, event.progress_message || undefined);
	},
	job_status_changed: load_soon,
	list_update(event) {
		if (event.doctype === doctype) load_soon();
	},
};
for (const [event, listener] of Object.entries(listeners)) frappe.realtime.on(event, listener);
frappe.realtime.doctype_subscribe(doctype);

// The desk makes the block anew each time that it shows the page, and says to the old one only that it is taken off.
const clock = setInterval(() => {
	if (!root_element.host.isConnected) {
		clearInterval(clock);
		for (const [event, listener] of Object.entries(listeners)) frappe.realtime.off(event, listener);
	} else if (!document.hidden) {
		show_times();
		if (Date.now() - asked_at > 30000) load();
	}
}, 1000);
load();
