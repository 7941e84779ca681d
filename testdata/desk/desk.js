// What Client Scripts meet in Frappe's desk, as far as ours use it: the same names and arguments, the same places in
// which Frappe takes a text for HTML, a real Socket.IO client. Written from Frappe 15's public/js; documents and lists
// are asked of the test's server. Tests open a form with desk.open(name), a list with desk.list(), and read `asked`.
/* global io */

const query = new URLSearchParams(location.search);
const asked = { popups: [], writes: [], emitted: [], lists: 0, timers: 0, listeners: (event) => frappe.realtime.socket.listeners(event).length };
let cur_frm = null, cur_list = null;

const plainInterval = window.setInterval;
window.setInterval = (...args) => { asked.timers++; return plainInterval(...args); };
window.open = (url) => asked.popups.push(["open", url]);
const cint = (value) => parseInt(value) || 0;
const __ = (text, values = []) => text.replace(/{(\d)}/g, (_, i) => values[i]);
const comment_when = (time) => `<span class="frappe-timestamp">${time}</span>`;
// The zone of a site that has set none.
const moment = () => ({ diff: (time) => Math.floor((Date.now() - time) / 1000) });
moment.tz = (text) => ({ valueOf: () => Date.parse(text.replace(" ", "T").slice(0, 23) + "+05:30") });

async function server(method, args) {
	const response = await fetch("/desk/" + method, { method: "POST", body: JSON.stringify(args) });
	if (!response.ok) throw new Error(`${method}: ${await response.text()}`);
	return response.json();
}

function limiter(fn, wait, restart) {
	let timer;
	return () => {
		if (restart) clearTimeout(timer);
		else if (timer) return;
		timer = setTimeout(() => { timer = null; fn(); }, wait);
	};
}

// Texts of messages and descriptions are HTML.
const html = (text) => { document.createElement("div").innerHTML = text; };
const said = (kind) => (text) => { html(text.message ?? text); asked.popups.push([kind, text.message ?? text]); };

const frappe = {
	boot: { time_zone: { system: "Asia/Kolkata", user: "UTC" } },
	session: { user: query.get("user") },
	csrf_token: "token",
	listview_settings: {},
	provide: (name) => (window[name] ??= {}),
	msgprint: said("msgprint"),
	throw: (text) => { frappe.msgprint(text); throw new Error(text.message ?? text); },
	confirm: (question, yes) => { said("confirm")(question); return yes(); },
	set_route: (...route) => asked.popups.push(["route", route.join("/")]),
	new_doc: (doctype, values) => asked.popups.push(["new", doctype, values]),
	dom: { freeze() {}, unfreeze() {} },
	// As Frappe does: a Custom HTML Block is an element with a shadow tree, in which its script is a function of its own.
	create_shadow_element(wrapper, html, style, script) {
		const name = "custom-block-" + Math.random().toString(36).slice(2);
		customElements.define(name, class extends HTMLElement {
			constructor() {
				super();
				const parts = ["div", "style", "script"].map((tag) => document.createElement(tag));
				parts[0].innerHTML = html;
				parts[1].textContent = style;
				parts[2].textContent = `(function() { let root_element = document.querySelector("${name}").shadowRoot; ${script} })();`;
				this.attachShadow({ mode: "open" }).append(...parts);
			}
		});
		wrapper.innerHTML = `<${name}></${name}>`;
		return wrapper.firstChild.shadowRoot;
	},
	utils: {
		get_form_link: (doctype, name) => `/app/${doctype.toLowerCase().replace(" ", "-")}/${encodeURIComponent(name)}`,
		escape_html: (text) => text.replace(/[&<>"'`=/]/g, (c) => `&#${c.charCodeAt(0)};`),
		get_formatted_duration: (seconds) => [[3600, "h"], [60, "m"], [1, "s"]].filter(([n]) => seconds >= n)
			.map(([n, unit]) => Math.floor((seconds % (n * 60)) / n) + unit).join(" "),
		debounce: (fn, wait) => limiter(fn, wait, true),
		throttle: (fn, wait) => limiter(fn, wait, false),
	},
	datetime: { str_to_user: (time) => `${time} here`, add_days: (time) => time, system_datetime: () => new Date().toISOString().slice(0, 19).replace("T", " ") },
	user: { full_name: (user) => user },
	model: { can_read: () => true, can_write: () => true, can_create: () => true },
	meta: { get_docfield: (doctype, fieldname) => frappe.ui.form.fields[fieldname], get_docfield_copy: (doctype) => (doctype === "Background Job" ? frappe.ui.form.fields : {}) },
	realtime: {
		socket: io(query.get("realtime"), { withCredentials: true }),
		on: (event, fn) => frappe.realtime.socket.on(event, fn),
		off: (event, fn) => frappe.realtime.socket.off(event, fn),
		emit: (...args) => { asked.emitted.push(args); frappe.realtime.socket.emit(...args); },
		doctype_subscribe: (doctype) => frappe.realtime.emit("doctype_subscribe", doctype),
	},
	db: {
		get_list: (doctype, args) => { asked.lists++; return server("list", { doctype, ...args }); },
		get_doc: (doctype, name) => server("get", { doctype, name }),
		count: async (doctype, args) => (await server("list", { doctype, ...args })).length,
		set_value: (doctype, name, values) => { asked.writes.push([name, values]); return server("set", { doctype, name, values }); },
	},
	ui: {
		form: {
			handlers: {}, fields: {},
			on: (doctype, handlers) => {
				for (const [event, fn] of Object.entries(handlers)) ((frappe.ui.form.handlers[doctype] ??= {})[event] ??= []).push(fn);
			},
		},
		Dialog: class {
			constructor(options) { Object.assign(this, options, { values: {}, shown: false, description: "" }); desk.dialog = this; }
			show() { this.shown = true; }
			hide() { this.shown = false; }
			set_value(field, value) { this.values[field] = value; }
			set_df_property(_field, _property, value) { html(value); this.description = value; }
			submit() { return this.primary_action(this.values); }
		},
	},
};

for (const fieldname of ["job_type", "organization", "owner_user", "priority", "progress", "input_parameters", "waiting_for", "log_tail", "error_message", "handled_at"]) {
	const fieldtype = { waiting_for: "Small Text", error_message: "Text", input_parameters: "JSON" }[fieldname] || "Data";
	frappe.ui.form.fields[fieldname] = { fieldname, fieldtype, options: fieldname === "organization" ? "Organization" : "" };
}

// Form is the form object of a DocType, which serves one document after the other.
class Form {
	constructor(doctype) {
		Object.assign(this, { doctype, wrapper: document.querySelector("#form"), fields: [], buttons: {}, hidden: {}, descriptions: {}, shown: {}, reloads: 0 });
		const area = this.wrapper.querySelector(".progress-area");
		this.dashboard = {
			show() {},
			add_section: (html, label) => { this.wrapper.querySelector(".sections").innerHTML += `<h4>${label}</h4>${html}`; },
			// As Frappe does: a new bar's message is HTML, a later one is text.
			show_progress: (title, percent, message) => {
				if (!area.firstChild) area.innerHTML = `<div class="progress-bar"></div><p class="progress-message">${message || ""}</p>`;
				area.querySelector(".progress-bar").style.width = cint(percent) + "%";
				area.querySelector(".progress-message").textContent = message || "";
			},
		};
		this.timeline = { refresh: () => this.draw_timeline() };
	}
	async open(name) {
		if (!this.set_up) { this.set_up = true; await this.trigger("setup"); }
		this.docname = name;
		await this.reload_doc();
	}
	async reload_doc() {
		this.reloads++;
		const name = this.docname;
		const doc = name.startsWith("new-") ? { name, __islocal: 1, status: "Pending" } : await server("get", { doctype: this.doctype, name });
		if (!doc || name !== this.docname) return;
		this.doc = doc;
		this.docinfo = {};
		await this.refresh();
	}
	async refresh() {
		this.buttons = {};
		this.save_disabled = false;
		this.wrapper.querySelector(".progress-area").innerHTML = this.wrapper.querySelector(".sections").innerHTML = "";
		this.set_intro("");
		// As Frappe does: texts that are only shown are HTML, but for what has a formatter.
		for (const { fieldname, fieldtype, formatter } of Object.values(frappe.ui.form.fields)) {
			if (["Text", "Small Text", "JSON"].includes(fieldtype)) {
				this.wrapper.querySelector(".sections").innerHTML += `<p>${(formatter || String)(this.doc[fieldname] ?? "")}</p>`;
			}
		}
		await this.trigger("refresh");
		this.draw_timeline();
	}
	async trigger(event) { for (const fn of frappe.ui.form.handlers[this.doctype]?.[event] || []) await fn(this); }
	draw_timeline() {
		const items = this.docinfo.additional_timeline_content || [];
		this.wrapper.querySelector(".timeline").innerHTML = items.map((item) => `<p>${item.content}</p>`).join("");
		this.trigger("timeline_refresh");
	}
	async set_value(field, value) { this.doc[field] = value; this.doc.__unsaved = 1; await this.trigger(field); }
	async save() { await this.trigger("validate"); asked.writes.push([this.docname, { ...this.doc }]); delete this.doc.__unsaved; }
	set_intro(html, color) { this.intro_color = color; this.wrapper.querySelector(".message").innerHTML = html || ""; }
	set_df_property(field, _property, value) { html(value); this.descriptions[field] = value; }
	toggle_display(fields, show) { for (const field of [].concat(fields)) this.hidden[field] = !show; }
	refresh_field(field) { this.shown[field] = this.doc[field]; }
	get_docfield(fieldname) { return frappe.meta.get_docfield(this.doctype, fieldname); }
	get_docinfo() { return this.docinfo; }
	is_new() { return !!this.doc?.__islocal; }
	is_dirty() { return !!this.doc?.__unsaved; }
	has_perm(type) { return type !== "write" || !desk.read_only; }
	disable_save() { this.save_disabled = true; }
	add_custom_button(label, action) { this.buttons[label] = action; }
	change_custom_button_type() {}
	clear_custom_buttons() { this.buttons = {}; }
	text() { return this.wrapper.textContent; }
	bar() { return this.wrapper.querySelector(".progress-bar")?.style.width; }
}

// List is the list view of Background Job, with the stock one's way of taking in what came live.
class List {
	constructor() {
		Object.assign(this, {
			doctype: "Background Job", view_name: "List", data: [], sort_by: "modified", sort_order: "DESC", can_write: true, fetches: 0,
			pending_document_refreshes: [], $result: [document.querySelector("#list")], buttons: {}, actions: {}, filters: [], checked: [],
			list_view_settings: {}, settings: frappe.listview_settings["Background Job"],
		});
		this.page = {
			add_inner_button: (label, action) => { this.buttons[label] = action; },
			add_actions_menu_item: (label, action) => { this.actions[label] = action; },
		};
		this.filter_area = { clear: async () => { this.filters = []; }, add: async (filters) => { this.filters = filters; } };
		this.settings.onload(this);
	}
	async refresh() {
		this.data = await server("list", { doctype: this.doctype, order_by: "modified desc" });
		this.draw();
		this.settings.refresh(this);
	}
	async process_document_refreshes() {
		const names = this.pending_document_refreshes.map((doc) => doc.name);
		this.pending_document_refreshes = [];
		this.fetches++;
		for (const row of await server("list", { doctype: this.doctype, names })) {
			const at = this.data.findIndex((doc) => doc.name === row.name);
			if (at < 0) this.data.push(row); else this.data[at] = row;
		}
		this.data.sort((a, b) => (a[this.sort_by] < b[this.sort_by] ? -1 : 1) * (this.sort_order === "desc" ? -1 : 1));
		this.draw();
	}
	draw() {
		const { formatters, get_indicator } = this.settings;
		this.$result[0].innerHTML = this.data.map((doc) => `<div class="list-row-container"><input type="checkbox" class="list-row-checkbox">
			<span class="${get_indicator(doc)[1]}">${get_indicator(doc)[0]}</span>${formatters.progress(doc.progress, {}, doc)}${formatters.organization(doc.organization, {}, doc)}</div>`).join("");
		this.$result[0].querySelectorAll(".list-row-checkbox").forEach((box, i) => { box.dataset.name = this.data[i].name; });
	}
	row(name) { return [...this.$result[0].querySelectorAll(".list-row-checkbox")].find((box) => box.dataset.name === name)?.closest(".list-row-container"); }
	bar(name) { return this.row(name)?.querySelector(".progress-bar").style.width; }
	setup_realtime_updates() { this.realtime_events_setup = true; frappe.realtime.doctype_subscribe(this.doctype); }
	avoid_realtime_update() { return !!this.disable_list_update; }
	get_checked_items() { return this.data.filter((doc) => this.checked.includes(doc.name)); }
	clear_checked_items() { this.checked = []; }
}

const desk = {
	read_only: false,
	forms: {},
	// show puts one of the pages onto the screen, or another one.
	show(page) {
		for (const id of ["form", "list"]) document.querySelector("#" + id).style.display = id === page ? "" : "none";
		cur_frm = page === "form" ? desk.form : null;
		cur_list = page === "list" ? desk.opened : null;
	},
	async open(name, doctype = "Background Job") {
		desk.form = desk.forms[doctype] ??= new Form(doctype);
		desk.show("form");
		await desk.form.open(name);
	},
	// block puts a Custom HTML Block onto the page in place of the one before, as a workspace does.
	async block(name) {
		const block = await server("block", { name });
		desk.shown = frappe.create_shadow_element(document.querySelector("#block"), block.html, block.style, block.script);
	},
	async list() {
		desk.opened ??= new List();
		desk.show("list");
		await desk.opened.refresh();
	},
};

// As Frappe does, each script is a function of its own.
server("scripts", {}).then((scripts) => {
	for (const script of scripts) new Function(script)();
	desk.ready = true;
});
