// A number card can't tell an age. A job waits since its last move; each status is asked for alone, since its oldest is
// then the first of an index.
const doctype = "Background Job";
const find = (selector) => root_element.querySelector(selector);
let since = null;
let asked_at = 0;

find(".label").textContent = __("Oldest Waiting");

function show() {
	find(".age").textContent = since ? frappe.utils.get_formatted_duration(Math.max(0, moment().diff(since, "seconds"))) : "–";
}

function load() {
	asked_at = Date.now();
	const oldest = (status) => frappe.db.get_list(doctype, { fields: ["name", "modified"], filters: { status }, order_by: "modified asc", limit: 1 });
	return Promise.all([oldest("Pending"), oldest("Queued")]).then((found) => {
		const [first] = found.flat().sort((a, b) => (a.modified < b.modified ? -1 : 1));
		since = first ? moment.tz(first.modified, frappe.boot.time_zone.system) : null;
		if (first) find(".box").href = frappe.utils.get_form_link(doctype, first.name);
		else find(".box").removeAttribute("href");
		show();
	});
}

const clock = setInterval(() => {
	if (!root_element.host.isConnected) clearInterval(clock);
	else if (!document.hidden) {
		show();
		if (Date.now() - asked_at > 15000) load();
	}
}, 1000);
load();
