package commands

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/opensoft/dartwing-bridge/bridge"
	"github.com/opensoft/dartwing-bridge/bridge/benchconfig"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/exitcode"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/cli"
	"github.com/opensoft/dartwing-bridge/cmd/bridge/internal/setup"
	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/spf13/cobra"
)

func setupCommand(a *cli.App) *cobra.Command {
	c := &cobra.Command{
		Use:     "setup",
		Short:   "Write the bridge's unit for systemd or supervisor into the bench",
		Example: "  bridge setup systemd\n  bridge setup supervisor",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	for _, kind := range setup.Kinds {
		c.AddCommand(setupKindCommand(a, kind))
	}
	return c
}

// unitOptions are the flags with which a unit is set up.
type unitOptions struct {
	user              string
	stdout, overwrite bool
}

func setupKindCommand(a *cli.App, kind setup.Kind) *cobra.Command {
	var o unitOptions
	c := &cobra.Command{
		Use:   kind.Name,
		Short: "Write the bridge's unit for " + kind.Name + " into the bench",
		Long: fmt.Sprintf(`Write what %[1]s has to know about this bench's bridge into the bench, beside
what bench setup %[1]s writes: %[2]s.
Then say which commands make it known and start it; nothing outside of the bench's
directory is changed.

It names this bench, whoever owns its sites directory, this program, and the time
to stop that bridge.stop_timeout and bridge.cancel_grace ask for: run it again when
they have changed. BRIDGE_... and FRAPPE_... variables that are set now and change
the configuration go into the file in clear, which then only its owner may read.

A file that is there with another text is kept, with exit code 4, and what differs
is printed; --overwrite replaces it. As with bench's own, whoever may write the
file decides as whom the bridge runs: copy it, instead of linking it, where the
bench's user isn't to decide that.`,
			kind.Name, kind.File(setup.Service{Name: "BENCH-bridge"})),
		Example: fmt.Sprintf("  bridge setup %[1]s\n  bridge setup %[1]s --stdout --user frappe\n  bridge setup %[1]s --overwrite", kind.Name),
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if o.stdout && o.overwrite {
				return exitcode.Usagef("--stdout and --overwrite exclude each other")
			}
			return a.OnBench(func(b *frappe.Bench, cfg bridge.Config) error { return setUp(a, b, cfg.WithDefaults(), kind, o) })
		},
	}
	c.Flags().StringVar(&o.user, "user", "", "whom the bridge runs as (default: the owner of the sites directory)")
	c.Flags().BoolVar(&o.stdout, "stdout", false, "print the unit, and write nothing")
	c.Flags().BoolVar(&o.overwrite, "overwrite", false, "replace a file that is there with another text")
	return c
}

// unit is what setting up a unit came to.
type unit struct {
	File        string       `json:"file"`
	Action      setup.Action `json:"action"` // with --stdout: printed
	Service     string       `json:"service"`
	User        string       `json:"user"`
	Program     string       `json:"program"`
	StopSeconds int          `json:"stop_seconds"`          // after which a bridge that doesn't stop is killed
	Environment []string     `json:"environment,omitempty"` // names of the variables in it
	Differences []string     `json:"differences,omitempty"` // from the file that was there
	Text        string       `json:"text"`
	Next        []string     `json:"next"` // commands
}

func setUp(a *cli.App, b *frappe.Bench, cfg bridge.Config, kind setup.Kind, o unitOptions) error {
	info, err := os.Stat(b.SitesDir)
	if err != nil {
		return fmt.Errorf("sites directory: %w", err)
	}
	owner := info.Sys().(*syscall.Stat_t)
	s := setup.Service{
		Name: setup.Name(b.Dir), Bench: b.Dir, User: o.user, Environment: benchconfig.Environment(os.Environ()),
		StopTimeout: cfg.StopTimeout, CancelGrace: cfg.CancelGrace, Target: setup.BenchTarget(b.Dir),
	}
	if s.User == "" {
		s.User = userName(owner.Uid)
	}
	if s.Program, err = thisProgram(); err != nil {
		return err
	}
	text, err := kind.Text(s)
	if err != nil {
		return exitcode.With(exitcode.Config, err)
	}
	u := unit{
		File: filepath.Join(b.Dir, kind.File(s)), Action: "printed", Service: s.Name, User: s.User, Program: s.Program,
		StopSeconds: s.StopSeconds(), Text: text, Next: kind.Next(s),
	}
	for _, variable := range s.Environment {
		name, _, _ := strings.Cut(variable, "=")
		u.Environment = append(u.Environment, name)
	}
	if !o.stdout {
		var old string
		u.Action, old, err = setup.Write(b.Dir, kind.File(s), text, int(owner.Uid), int(owner.Gid), o.overwrite, len(s.Environment) > 0)
		if err != nil {
			// Else the kind of the error would make it a server's.
			return exitcode.With(exitcode.Failure, fmt.Errorf("write the unit into %s: %w; run it as %s, or with --stdout", b.Dir, err, userName(owner.Uid)))
		}
		if u.Action == setup.Differs || u.Action == setup.Updated {
			u.Differences = setup.Difference(old, text)
		}
	}
	return u.print(a)
}

// print says what was done; a file that was kept is an error.
func (u unit) print(a *cli.App) error {
	switch {
	case a.JSON:
		if err := a.PrintJSON(u); err != nil {
			return err
		}
	case u.Action == "printed":
		fmt.Fprint(a.Out, u.Text)
	default:
		a.Say("%s: %s", u.File, u.Action)
		for _, line := range u.Differences {
			a.Say("  %s", line)
		}
		if u.Action == setup.Differs {
			break
		}
		if len(u.Environment) > 0 {
			a.Say("It has these variables of yours, in clear: %s", strings.Join(u.Environment, ", "))
		}
		a.Say("Next:\n  %s", strings.Join(u.Next, "\n  "))
	}
	if u.Action == setup.Differs {
		return exitcode.With(exitcode.Refused, fmt.Errorf("%s is there with another text than it would get: it was kept; --overwrite replaces it", u.File))
	}
	return nil
}

// userName is the name of a user, or the number of one that has none.
func userName(id uint32) string {
	number := strconv.FormatUint(uint64(id), 10)
	if u, err := user.LookupId(number); err == nil {
		return u.Username
	}
	return number
}

// thisProgram is the path of this program: as it was called, which may be a link to the version that is installed, if that
// leads to what runs.
func thisProgram() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the path of this program: %w", err)
	}
	called, err := exec.LookPath(os.Args[0])
	if err == nil {
		called, err = filepath.Abs(called)
	}
	if err != nil {
		return self, nil
	}
	if a, err := os.Stat(called); err == nil {
		if b, err := os.Stat(self); err == nil && os.SameFile(a, b) {
			return called, nil
		}
	}
	return self, nil
}
