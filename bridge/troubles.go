package bridge

import (
	"fmt"
	"maps"
	"slices"
)

// Troubles says in words which servers can't be used now, one text each: Redis, without which nothing is claimed, and databases, whose
// sites' jobs wait. What runs goes on. nil is none, and before Run has connected it is Redis.
func (e *Engine) Troubles() []string {
	select {
	case <-e.connected:
		return e.rooms.troubles()
	default:
		return []string{"not connected to Redis (redis_queue) yet"}
	}
}

func (w *rooms) troubles() (list []string) {
	if since, err := w.outage.Out(); err != nil {
		list = append(list, fmt.Sprintf("Redis (redis_queue) can't be used since %s; nothing new is claimed: %v", since.Format("15:04:05"), err))
	}
	absent := w.sites.Absent()
	for _, site := range slices.Sorted(maps.Keys(absent)) {
		list = append(list, fmt.Sprintf("the database of %s can't be used; its jobs wait: %v", site, absent[site]))
	}
	return list
}
