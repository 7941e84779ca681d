package maintenance

import (
	"maps"
	"sync"
)

// Kinds of repairs, as they are counted.
const (
	Redelivered     = "redelivered"             // a Queued row without a delivery got one
	RedeliveredLost = "redelivered_after_loss"  // the same, since Redis had lost its data
	GivenBack       = "given_back"              // a Running row that nobody ran is queued again
	GivenBackLost   = "given_back_after_loss"   // the same, since Redis had lost its data
	Completed       = "completed"               // a Running row whose RQ job had finished is Completed
	RescuedDead     = "rescued_of_dead"         // a job came back whose process died
	RescuedLapsed   = "rescued_of_lapsed_lease" // a job came back whose lease had run out
	Poisoned        = "poisoned"                // a job was failed for the workers that it took down
	ReturnedPopped  = "returned_popped"         // a job came back that a dead bridge had popped from its queue
	Tidied          = "tidied"                  // a delivery was ended whose row had ended, or was somebody else's
)

// Repairs counts what was mended, by kind. The zero value is ready; it is safe for concurrent use.
type Repairs struct {
	mu sync.Mutex
	of map[string]int
}

// Count counts one repair.
func (r *Repairs) Count(kind string) { r.Add(kind, 1) }

// Add counts some.
func (r *Repairs) Add(kind string, n int) {
	if n == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil {
		r.of = map[string]int{}
	}
	r.of[kind] += n
}

// Counts are the repairs so far, by kind.
func (r *Repairs) Counts() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.of)
}
