// A stock Socket.IO client that connects to a site as some user, subscribes as the desk would, and prints what it is
// told, one JSON object a line: first {"ready": [rooms]} or {"error": text}, then {"event": name, "args": [...]}.
//
// One argument, a JSON object: url, site, and optionally origin, cookie, authorization, host, docs ([doctype, name]
// pairs), openDocs (same), doctypes, tasks, transports.
import { io } from "socket.io-client";

const want = JSON.parse(process.argv[2]);
const print = (line) => process.stdout.write(JSON.stringify(line) + "\n");

const extraHeaders = {
	Origin: want.origin || want.url,
	...(want.host ? { Host: want.host } : { "X-Frappe-Site-Name": want.site }),
	...(want.cookie && { Cookie: want.cookie }),
	...(want.authorization && { Authorization: want.authorization }),
};
const socket = io(`${want.url}/${want.site}`, {
	extraHeaders,
	reconnectionAttempts: 3,
	transports: want.transports || ["websocket"],
});

socket.on("connect_error", (err) => {
	print({ error: err.message });
	// A refusal by the server is final; a lost connection is tried again.
	if (!socket.active) process.exit(1);
});
socket.io.on("reconnect_failed", () => process.exit(1));
socket.on("disconnect", (reason) => print({ disconnect: reason }));
socket.onAny((event, ...args) => {
	if (event !== "pong") print({ event, args });
});

socket.once("connect", async () => {
	for (const doctype of want.doctypes || []) socket.emit("doctype_subscribe", doctype);
	for (const [doctype, name] of want.docs || []) socket.emit("doc_subscribe", doctype, name);
	for (const [doctype, name] of want.openDocs || []) socket.emit("doc_open", doctype, name);
	for (const id of want.tasks || []) socket.emit("task_subscribe", id);
	print({ ready: await joinedRooms() });
});

// joinedRooms waits until the server has decided about everything asked for. Events keep their order, so after the
// answer to ping the server knows of every subscription.
async function joinedRooms() {
	await new Promise((resolve) => {
		socket.once("pong", resolve);
		socket.emit("ping");
	});
	for (;;) {
		const query = new URLSearchParams({ site: want.site, socket: socket.id });
		const { rooms, pending } = await (await fetch(`${want.url}/rooms?${query}`)).json();
		if (pending === 0) return rooms.filter((room) => room !== socket.id).sort();
		await new Promise((resolve) => setTimeout(resolve, 5));
	}
}
