// Questions to the site, asked with the credentials of the connected client.

const major = Number(process.env.REALTIME_FRAPPE_MAJOR || 15);

// askSite calls a method of the socket's site and returns the decoded answer. It throws for any status but 200.
export async function askSite(socket, method, args = {}) {
	const base = process.env.REALTIME_SITES_URL || socket.origin;
	const headers = { "X-Frappe-Site-Name": socket.site };
	const query = new URLSearchParams(args);
	if (major >= 16) {
		if (socket.authorization) headers.Authorization = socket.authorization;
		else if (socket.cookieHeader) headers.Cookie = socket.cookieHeader;
	} else if (socket.sid) {
		query.set("sid", socket.sid);
	} else if (socket.authorization) {
		headers.Authorization = socket.authorization;
	}
	const response = await fetch(`${base}/api/method/${method}?${query}`, { headers });
	if (response.status !== 200) throw new Error(`${method} answers ${response.status}`);
	return response.json();
}

// mayRead asks whether the client may read a DocType, or one document when a name is given.
export function mayRead(socket, doctype, name) {
	if (major >= 16) {
		return askSite(socket, "frappe.realtime.has_permission", { doctype, name: name || "" });
	}
	return name
		? askSite(socket, "frappe.realtime.can_subscribe_doc", { doctype, docname: name })
		: askSite(socket, "frappe.realtime.can_subscribe_doctype", { doctype });
}
