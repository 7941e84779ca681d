// Package foreign has handlers that are not written in Go: a program that is run once per job, a URL that is called
// once per job, and the lines of JSON with which both report while they work.
package foreign

import (
	"encoding/json"

	"github.com/opensoft/dartwing-bridge/bridge/internal/job"
)

func orEmpty(params json.RawMessage) json.RawMessage {
	if len(params) == 0 {
		return json.RawMessage("{}")
	}
	return params
}

func permanent(err error) error { return job.Mark(err, job.Permanent, 0) }
func transient(err error) error { return job.Mark(err, job.Transient, 0) }
