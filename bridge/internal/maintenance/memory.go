package maintenance

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
)

// idleMost is how much memory without use a process keeps: less isn't worth a collection.
const idleMost = 32 << 20

// ReturnMemory gives back to the system what a peak has left, a job of tens of megabytes for instance. The runtime itself
// collects a process that does nothing every two minutes only, and returns slowly what it then has: one that knows a hundred
// thousand waiting jobs kept half as much again. A collection each time is nothing beside those of a process that is busy.
func ReturnMemory(context.Context) error {
	if idle, live := heap(); idle > max(idleMost, live/2) {
		debug.FreeOSMemory()
	}
	return nil
}

// heap is how many bytes of it hold nothing that was in use at the last collection, and how many were.
func heap() (idle, live uint64) {
	s := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(s)
	live = s[0].Value.Uint64()
	all := s[1].Value.Uint64() + s[2].Value.Uint64() + s[3].Value.Uint64()
	return all - min(live, all), live
}
