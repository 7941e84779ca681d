package servers

import (
	"errors"
	"strings"
	"testing"
)

func TestMissingProgramNamesItsPackage(t *testing.T) {
	debianPackages["no-such-server"] = "its-package"
	defer delete(debianPackages, "no-such-server")
	_, err := lookPath("no-such-server")
	if !errors.Is(err, ErrNotInstalled) || !strings.Contains(err.Error(), "apt-get install its-package") {
		t.Errorf("error = %v, want ErrNotInstalled with the package to install", err)
	}
}
