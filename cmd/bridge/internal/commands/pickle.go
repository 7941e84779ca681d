package commands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/cli"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/output"
	"github.com/opensoft/dartwing-bridge/rqcompat"
	"github.com/opensoft/dartwing-bridge/rqcompat/pickle"
	"github.com/spf13/cobra"
)

// maxPickleFile bounds what is read from a file or from stdin.
const maxPickleFile = 64 << 20

func pickleCommand(a *cli.App) *cobra.Command {
	var file string
	var listed bool
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
				return exitcode.Usagef("name one of a job id, - for stdin, and --file")
			}
			data, err := pickleSource(c.Context(), a, args, file)
			if err != nil {
				return err
			}
			payload, err := (&rqcompat.Job{Data: data}).Payload(maxPickleFile)
			if err != nil {
				return err
			}
			return showPickle(a, payload, listed)
		},
	}
	c.Flags().StringVar(&file, "file", "", "read the pickle from this file")
	c.Flags().BoolVar(&listed, "opcodes", false, "also list the opcodes")
	return c
}

// pickleSource reads what is to be shown: a file, stdin, or the data of a job.
func pickleSource(ctx context.Context, a *cli.App, args []string, file string) (data []byte, err error) {
	switch {
	case file != "":
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("open the pickle: %w", err)
		}
		defer f.Close()
		return readAtMost(f)
	case args[0] == "-":
		return readAtMost(a.In)
	}
	err = a.WithClient(ctx, func(s cli.Session) error {
		for _, id := range []string{args[0], s.Bench.JobID(s.Site, args[0])} {
			job, err := s.Client.RQ().Fetch(ctx, id)
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

// showPickle prints a pickle's value. The opcodes of one that can't be decoded are still listed, as far as they go.
func showPickle(a *cli.App, payload []byte, listed bool) error {
	var listing []pickle.Instruction
	if listed {
		for in, err := range pickle.Instructions(payload) {
			if err == nil { // else decoding says it
				listing = append(listing, in)
			}
		}
	}
	v, err := pickle.Decode(payload)
	if err == nil {
		text, lossy := pickle.JSON(v)
		if a.JSON {
			view := map[string]any{"value": json.RawMessage(text), "lossy": lossy}
			if listed {
				view["opcodes"] = listing
			}
			return a.PrintJSON(view)
		}
		err = a.PrintJSON(json.RawMessage(text))
		for _, note := range lossy {
			fmt.Fprintln(a.Err, "lossy:", output.OneLine(note))
		}
	}
	if !a.JSON {
		for _, in := range listing {
			fmt.Fprintf(a.Out, "%6d  %-17s %s\n", in.Offset, in.Name, in.Argument)
		}
	}
	return err
}
