// Package realtime holds the source of the Node realtime server and of its client, so that programs that start them
// need no copy of the repository.
package realtime

import "embed"

// Source has the scripts, package.json and the lock file, without node_modules.
//
//go:embed *.mjs package.json package-lock.json
var Source embed.FS
