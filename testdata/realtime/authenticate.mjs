// Who is connecting: the namespace must be the site that was addressed, the origin must be the host, and the site
// itself says which user the credentials belong to.
import { askSite } from "./site.mjs";

const major = Number(process.env.REALTIME_FRAPPE_MAJOR || 15);

export async function authenticate(socket, next) {
	const { headers } = socket.request;
	const site = socket.nsp.name.slice(1);
	if (site !== addressedSite(headers)) {
		// The real server reports this and then goes on with the checks. Ours ends here: a test must notice.
		return next(new Error("Invalid namespace"));
	}
	if (!headers.origin || hostname(headers.host) !== hostname(headers.origin)) {
		return next(new Error("Invalid origin"));
	}
	// Only since late 2025 is an Authorization header without any cookie enough.
	if (!headers.cookie && !(major >= 17 && headers.authorization)) {
		return next(new Error("No authentication method used. Use cookie or authorization header."));
	}
	Object.assign(socket, {
		site,
		origin: headers.origin,
		sid: cookie(headers.cookie, "sid"),
		cookieHeader: headers.cookie,
		authorization: headers.authorization,
	});
	try {
		const answer = await askSite(socket, "frappe.realtime.get_user_info");
		if (!answer.message?.user) return next(new Error("Unauthorized"));
		socket.user = answer.message.user;
		socket.userType = answer.message.user_type;
	} catch (err) {
		return next(new Error(`Unauthorized: ${err.message}`));
	}
	next();
}

function addressedSite(headers) {
	if (headers["x-frappe-site-name"]) return headers["x-frappe-site-name"];
	const host = hostname(headers.host);
	if (["localhost", "127.0.0.1"].includes(host) && process.env.FRAPPE_SITE) return process.env.FRAPPE_SITE;
	return headers.origin ? hostname(headers.origin) : host;
}

// Takes "host:port" as well as "scheme://host:port".
function hostname(address = "") {
	return address.replace(/^\w+:\/\//, "").replace(/:\d+$/, "");
}

function cookie(header = "", name) {
	for (const part of header.split(";")) {
		const at = part.indexOf("=");
		if (part.slice(0, at).trim() === name) return decodeURIComponent(part.slice(at + 1).trim());
	}
}
