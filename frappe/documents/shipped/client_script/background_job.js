// What the Client Scripts share: each of them begins with this.
frappe.provide("background_jobs");
Object.assign(background_jobs, (() => {
	const doctype = "Background Job";
	const COLORS = {
		Pending: "gray", Queued: "yellow", Running: "blue", Completed: "green",
		Failed: "orange", "Timed Out": "red", "Dead Letter": "red", Canceled: "gray",
	};
	const escape = (text) => frappe.utils.escape_html(String(text ?? ""));
	const color = (status) => COLORS[status] || "gray";

	// A site's times have no zone of their own: they are the site's local time.
	const time = (text) => moment.tz(text, frappe.boot.time_zone.system).valueOf();
	const duration = (ms) => frappe.utils.get_formatted_duration(Math.max(1, Math.round(ms / 1000)));

	const how_long = (job) => {
		const now = Date.now();
		const ended = job.completed_at || job.canceled_at;
		if (["Pending", "Queued"].includes(job.status)) return __("waits for {0}", [duration(now - time(job.modified))]);
		if (job.status === "Running") return job.started_at ? __("runs for {0}", [duration(now - time(job.started_at))]) : "";
		if (["Failed", "Timed Out"].includes(job.status) && job.next_retry_at) {
			const left = time(job.next_retry_at) - now;
			return left > 0 ? __("next attempt in {0}", [duration(left)]) : __("next attempt is due");
		}
		return job.started_at && ended ? __("took {0}", [duration(time(ended) - time(job.started_at))]) : "";
	};

	// time_left takes what is left for as fast as what is done.
	const time_left = (job) => {
		if (job.status !== "Running" || !job.started_at || !(job.progress > 0 && job.progress < 100)) return "";
		const took = Date.now() - time(job.started_at);
		return __("about {0} left", [duration((took / job.progress) * (100 - job.progress))]);
	};

	const attempt = (job) => __("Attempt {0} of {1}", [cint(job.retry_count) + 1, cint(job.max_retries) + 1]);

	// json_error says what is wrong with parameters, or nothing.
	const json_error = (text) => {
		try {
			if (typeof text === "string" && text.trim()) JSON.parse(text);
			return "";
		} catch (error) {
			return __("This is no valid JSON: {0}", [escape(error.message)]);
		}
	};

	// may tells what anybody with write permission may do with a job by setting its status.
	const may = {
		Canceled: (job) => ["Pending", "Queued", "Running"].includes(job.status),
		Queued: (job) => ["Failed", "Timed Out", "Dead Letter"].includes(job.status),
	};

	// plain has texts shown as texts. Frappe takes them for HTML, since it removes what is dangerous when somebody saves a
	// document; what handlers report comes another way.
	const plain = (doctype, name) => {
		for (const field of Object.values(frappe.meta.get_docfield_copy(doctype, name) || {})) {
			if (["Text", "Small Text", "Long Text", "JSON"].includes(field.fieldtype)) {
				field.formatter = (value) => escape(value).replace(/\n/g, "<br>");
			}
		}
	};

	// rest asks the site without the messages that frappe.call shows of what goes wrong.
	const rest = async (method, path, body) => {
		const response = await fetch(path, {
			method, body: body && JSON.stringify(body),
			headers: { "Content-Type": "application/json", Accept: "application/json", "X-Frappe-CSRF-Token": frappe.csrf_token },
		});
		const answer = await response.json();
		if (!response.ok) throw new Error(answer.exc_type || response.statusText);
		return answer;
	};

	return { doctype, states: Object.keys(COLORS), escape, color, time, duration, how_long, time_left, attempt, json_error, may, plain, rest };
})());
