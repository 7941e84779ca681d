// A Socket.IO server that speaks Frappe's realtime protocol: one namespace per site, rooms joined after asking the
// site, and whatever arrives on the Redis channel `events` sent to a room. Written for tests, the demo and compose.
//
// It keeps what a publisher must know about the real one: a message that is not JSON and a reserved event name end the
// process, a message without a room reaches every client of every site, one with a wrong namespace reaches nobody.
//
// Environment: FRAPPE_REDIS_QUEUE (URL), FRAPPE_SOCKETIO_PORT, FRAPPE_SITE (site of Host localhost), and of our own
// REALTIME_HOST (bind address), REALTIME_FRAPPE_MAJOR (15, 16, 17), REALTIME_SITES_URL (where to ask the sites;
// without it the browser's origin, as in the real one).
import { createServer } from "node:http";
import { createClient } from "@redis/client";
import { Server } from "socket.io";
import { authenticate } from "./authenticate.mjs";
import { connectRooms, pendingChecks } from "./rooms.mjs";

const port = Number(process.env.FRAPPE_SOCKETIO_PORT || 9000);
const host = process.env.REALTIME_HOST || "127.0.0.1";
const redisURL = process.env.FRAPPE_REDIS_QUEUE || "redis://127.0.0.1:11311";

const http = createServer(answer);
const io = new Server(http, {
	// The origin is checked in authenticate; here only the headers that let a browser read the answer.
	cors: { origin: true, credentials: true },
	cleanupEmptyChildNamespaces: true,
});

const sites = io.of(/^\/.*$/);
sites.use(authenticate);
sites.on("connection", connectRooms);

const subscriber = createClient({ url: redisURL });
subscriber.on("error", (err) => console.error("redis:", err.message));
await subscriber.connect();

// Nothing catches what this throws: see the top of the file.
await subscriber.subscribe("events", (text) => {
	const { event, message, namespace, room } = JSON.parse(text);
	if (room) {
		io.of("/" + namespace).to(room).emit(event, message);
	} else {
		sites.emit(event, message);
	}
});

http.listen(port, host, () => console.log(`realtime listens on ${host}:${port}`));

// Requests that are not Socket.IO's, for start-up checks and for client.mjs. The real server has no such thing.
function answer(request, response) {
	const url = new URL(request.url, "http://unused");
	if (url.pathname === "/health") {
		return reply(response, subscriber.isReady ? 200 : 503, { pid: process.pid });
	}
	if (url.pathname === "/rooms") {
		const socket = io._nsps.get("/" + url.searchParams.get("site"))?.sockets.get(url.searchParams.get("socket"));
		return socket
			? reply(response, 200, { rooms: [...socket.rooms], pending: pendingChecks(socket) })
			: reply(response, 404, {});
	}
	if (!url.pathname.startsWith("/socket.io/")) reply(response, 404, {});
}

function reply(response, status, body) {
	response.writeHead(status, { "Content-Type": "application/json" });
	response.end(JSON.stringify(body));
}
