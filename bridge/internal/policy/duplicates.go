package policy

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/frappe/rows"
)

// ErrDuplicate says that the same job is on its way already. Package bridge publishes it.
var ErrDuplicate = errors.New("the same job is on its way already")

// DuplicateError is an ErrDuplicate that names the job: of the same Job Type and organization, with the same parameters,
// created within the Job Type's deduplication_window, which hasn't ended.
type DuplicateError struct {
	Name   string
	Status rows.Status
}

func (e *DuplicateError) Error() string {
	return fmt.Sprintf("%v: %s is %s", ErrDuplicate, e.Name, e.Status)
}

// Is makes it an ErrDuplicate.
func (e *DuplicateError) Is(target error) bool { return target == ErrDuplicate }

// DuplicateHash is the job_hash by which duplicates are known, as the Python engine makes it.
func DuplicateHash(jobType, organization string, parameters json.RawMessage) (string, error) {
	if len(parameters) == 0 || string(parameters) == "null" {
		parameters = json.RawMessage("{}")
	}
	text, err := frappe.AsJSON(parameters)
	if err != nil {
		return "", err
	}
	return frappe.Digest(jobType + ":" + organization + ":" + string(text))[:16], nil
}
