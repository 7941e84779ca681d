// Package socketio is a client of Frappe's realtime server (15.41 to 17), as a browser is: it sees what the desk sees.
package socketio
