// Rooms: which a socket is in from the start, which it may ask for, and what is checked before it gets in.
import { mayRead } from "./site.mjs";

const doctypeRoom = (doctype) => `doctype:${doctype}`;
const docRoom = (doctype, name) => `doc:${doctype}/${name}`;
const openDocRoom = (doctype, name) => `open_doc:${doctype}/${name}`;
const taskRoom = (id) => `task_progress:${id}`;

// How many permission checks of a socket are still on their way to the site.
const pending = new WeakMap();
export const pendingChecks = (socket) => pending.get(socket) || 0;

export function connectRooms(socket) {
	socket.join(`user:${socket.user}`);
	socket.join("website");
	if (socket.userType === "System User") socket.join("all");

	socket.on("ping", () => socket.emit("pong"));

	socket.on("doctype_subscribe", (doctype) => {
		ifAllowed(socket, doctype, "", () => socket.join(doctypeRoom(doctype)));
	});
	socket.on("doctype_unsubscribe", (doctype) => socket.leave(doctypeRoom(doctype)));

	socket.on("doc_subscribe", (doctype, name) => {
		ifAllowed(socket, doctype, name, () => socket.join(docRoom(doctype, name)));
	});
	socket.on("doc_unsubscribe", (doctype, name) => socket.leave(docRoom(doctype, name)));

	socket.on("doc_open", (doctype, name) => {
		ifAllowed(socket, doctype, name, () => {
			socket.join(openDocRoom(doctype, name));
			tellViewers(socket, doctype, name);
		});
	});
	socket.on("doc_close", (doctype, name) => {
		socket.leave(openDocRoom(doctype, name));
		tellViewers(socket, doctype, name);
	});

	// No check: who knows the id of a task may follow it.
	const followTask = (id) => socket.join(taskRoom(id));
	socket.on("task_subscribe", followTask);
	socket.on("progress_subscribe", followTask);
	socket.on("task_unsubscribe", (id) => socket.leave(taskRoom(id)));

	socket.on("disconnecting", () => {
		for (const room of socket.rooms) {
			const [, doctype, name] = /^open_doc:([^/]*)\/(.*)$/.exec(room) || [];
			if (doctype) tellViewers(socket, doctype, name, socket.id);
		}
	});
}

async function ifAllowed(socket, doctype, name, join) {
	pending.set(socket, pendingChecks(socket) + 1);
	try {
		await mayRead(socket, doctype, name);
		join();
	} catch (err) {
		// The client is not told: the real server is silent as well.
		console.log(`${socket.user} does not get ${doctype} ${name}: ${err.message}`);
	} finally {
		pending.set(socket, pendingChecks(socket) - 1);
	}
}

// tellViewers sends who else has the form open, to all who have.
function tellViewers(socket, doctype, name, leavingId) {
	const room = openDocRoom(doctype, name);
	const ids = [...(socket.nsp.adapter.rooms.get(room) || [])].filter((id) => id !== leavingId);
	const users = [...new Set(ids.map((id) => socket.nsp.sockets.get(id)?.user).filter(Boolean))];
	socket.nsp.to(room).emit("doc_viewers", { doctype, docname: name, users });
}
