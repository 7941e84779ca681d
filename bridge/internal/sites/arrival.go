package sites

import (
	"strings"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// A job of a Job Type that comes without a row gets one when it starts. Two things tie that row to its delivery: its
// job_hash, by which a redelivery finds it again, and the first message of its log.

// ArrivalHash is the job_hash of a row made for the RQ job of that id.
func ArrivalHash(id string) string { return frappe.Digest("rq:" + id)[:16] }

const arrivalMessage = "Job created for RQ job "

// ArrivalMessage is the first log message of such a row.
func ArrivalMessage(id string) string { return arrivalMessage + id }

// ArrivalOf gives the id of the RQ job that a row was made for, "" if it was submitted.
func ArrivalOf(history []rows.LogEntry) string {
	for _, h := range history {
		if id, ok := strings.CutPrefix(h.Message, arrivalMessage); ok {
			return id
		}
	}
	return ""
}
