package maintenance

import (
	"runtime"
	"testing"
)

var sink []byte

func TestReturnMemory(t *testing.T) {
	for range 4 {
		sink = make([]byte, 64<<20) // each makes garbage of the last
		for i := 0; i < len(sink); i += 4096 {
			sink[i] = 1
		}
	}
	sink = nil
	runtime.GC() // what is free then stays the process's
	if idle, _ := heap(); idle <= idleMost {
		t.Skipf("the runtime has given back all but %d MiB by itself", idle>>20)
	}
	if err := ReturnMemory(t.Context()); err != nil {
		t.Fatal(err)
	}
	if idle, live := heap(); idle > idleMost {
		t.Errorf("%d MiB without use are kept beside %d MiB, want at most %d", idle>>20, live>>20, idleMost>>20)
	}
}
