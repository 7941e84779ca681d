package frappe

import "slices"

// ReservedEvent reports whether socket.io keeps an event's name for itself (4.x). One that is emitted all the same
// throws: in the realtime server, inside its subscriber's callback, which ends the realtime of all sites.
func ReservedEvent(name string) bool {
	return slices.Contains([]string{"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}, name)
}
