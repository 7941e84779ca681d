package submit

import (
	"errors"
	"testing"

	"github.com/opensoft/dartwing-bridge/bridge/internal/sites"
)

func TestParametersMayBeANilMap(t *testing.T) {
	var none map[string]any
	if got, err := objectOf(none); string(got) != "{}" || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := objectOf([]int{1}); !errors.Is(err, sites.ErrBadRequest) {
		t.Errorf("error %v, want ErrBadRequest", err)
	}
}
