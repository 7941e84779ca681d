package servers

import (
	"context"
	"errors"
	"time"
)

// Prepare fills the cache with all that servers and interop tests take from it, so that no test waits for a download.
// done is called after each step, with how long it took: next to nothing for what was there. A step that fails does
// not keep the others from being done.
func Prepare(ctx context.Context, done func(what string, took time.Duration)) error {
	var problems []error
	step := func(what string, err error, since time.Time) {
		if err != nil {
			problems = append(problems, err)
			return
		}
		done(what, time.Since(since))
	}
	start := time.Now()
	step("MariaDB data directory", prepareMariaDB(ctx), start)
	start = time.Now()
	_, _, err := nodeModules(ctx)
	step("Node modules of the realtime server", err, start)
	for _, version := range RQVersions() {
		start = time.Now()
		_, err := PythonVenv(ctx, version)
		step("Python environment with RQ "+version, err, start)
	}
	return errors.Join(problems...)
}

func prepareMariaDB(ctx context.Context) error {
	mariadbd, err := lookPath("mariadbd")
	if err != nil {
		return err
	}
	_, err = mariadbTemplate(ctx, mariadbd)
	return err
}
