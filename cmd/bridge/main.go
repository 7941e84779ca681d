// Command bridge works the background jobs of a Frappe bench in Go, and looks
// after them: see `bridge help`.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}
