package bridge

import (
	"fmt"
	"maps"
	"slices"
)

// troubles is Engine.Troubles, once that has connected.
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
