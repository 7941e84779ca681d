package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
	"github.com/spf13/cobra"
)

// maxPickleFile bounds what is read from a file or from stdin.
const maxPickleFile = 64 << 20

func (a *app) pickleCommand() *cobra.Command {
	var file string
	var opcodes bool
	c := &cobra.Command{
		Use:   "pickle [ID | -]",
		Short: "Show what is in a job or a pickle, without running it",
		Long: `Show what is in the payload of an RQ job, or in a pickle from stdin (-) or a
file, as JSON. Compressed payloads are inflated. Nothing is ever imported or
called: classes and functions are shown by name.

What JSON can't say exactly is named on stderr, with its place (with --json: under
"lossy").`,
		Example: `  bridge pickle 'site1.localhost||3f8e7a44-5a0e-4d4e-9d5c-0c1c8d6e2b11'
  redis-cli --raw hget rq:job:ID data | head -c -1 | bridge pickle -
  bridge pickle --file dump.pkl --opcodes`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if (len(args) == 1) == (file != "") {
				return usage("name one of a job id, - for stdin, and --file")
			}
			data, err := a.pickleSource(c.Context(), args, file)
			if err != nil {
				return err
			}
			payload, err := (&rqcompat.Job{Data: data}).Payload(maxPickleFile)
			if err != nil {
				return err
			}
			return a.showPickle(payload, opcodes)
		},
	}
	c.Flags().StringVar(&file, "file", "", "read the pickle from this file")
	c.Flags().BoolVar(&opcodes, "opcodes", false, "also list the opcodes")
	return c
}

func (a *app) pickleSource(ctx context.Context, args []string, file string) (data []byte, err error) {
	switch {
	case file != "":
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("open the pickle: %w", err)
		}
		defer f.Close()
		return readAtMost(f)
	case args[0] == "-":
		return readAtMost(a.in)
	}
	err = a.withClient(ctx, func(s session) error {
		for _, id := range []string{args[0], s.bench.JobID(s.site, args[0])} {
			job, err := s.client.RQ().Fetch(ctx, id)
			if job != nil && len(job.Data) > 0 {
				data = job.Data
				return nil
			}
			if !errors.Is(err, rqcompat.ErrNoSuchJob) {
				return err
			}
		}
		return fmt.Errorf("%w: RQ has no %q", rqcompat.ErrNoSuchJob, args[0])
	})
	return data, err
}

func readAtMost(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxPickleFile+1))
	if err != nil {
		return nil, fmt.Errorf("read the pickle: %w", err)
	}
	if len(b) > maxPickleFile {
		return nil, &pickle.LimitError{Limit: "input bytes", Max: maxPickleFile}
	}
	return b, nil
}

// showPickle prints a pickle's value. The opcodes of one that can't be decoded
// are still listed, as far as they go.
func (a *app) showPickle(payload []byte, opcodes bool) error {
	var listing []opcodeLine
	var listErr error
	if opcodes {
		listing, listErr = disassemble(payload)
	}
	v, err := pickle.Decode(payload)
	if err != nil {
		if !a.json {
			a.printOpcodes(listing)
		}
		return err
	}
	text, lossy := pickle.JSON(v)
	if a.json {
		view := map[string]any{"value": json.RawMessage(text), "lossy": lossy}
		if opcodes {
			view["opcodes"] = listing
		}
		return errors.Join(a.printJSON(view), listErr)
	}
	if err := a.printJSON(json.RawMessage(text)); err != nil {
		return err
	}
	for _, note := range lossy {
		fmt.Fprintln(a.err, "lossy:", oneLine(note))
	}
	a.printOpcodes(listing)
	return listErr
}

func (a *app) printOpcodes(listing []opcodeLine) {
	for _, l := range listing {
		fmt.Fprintf(a.out, "%6d  %-17s %s\n", l.Offset, l.Name, l.Argument)
	}
}
