package moves

import "github.com/opensoft/dartwing-bridge/frappe/rows"

// Redeliver has a Queued row delivered again; why says what became of its delivery. It goes from the state to itself, so that of all
// who find the row without one delivers it.
func Redeliver(site string, row *rows.BackgroundJob, why string) Move {
	return ByHand(row, rows.StatusQueued, func(row *rows.BackgroundJob) Move {
		return move(site, row, rows.StatusQueued, "Delivered again: "+why)
	})
}
