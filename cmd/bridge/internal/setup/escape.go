package setup

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	unprintable = regexp.MustCompile(`[\x00-\x1f\x7f]`)
	simpleWord  = regexp.MustCompile(`^[A-Za-z0-9/_.,:@+=-]+$`)
	// comment begins one in supervisor's files, even within quotes.
	comment = regexp.MustCompile(`\s[;#]`)
)

// line refuses what no escape brings into one line of these files as it is.
func line(value string) error {
	switch {
	case value == "":
		return fmt.Errorf("there is an empty value")
	case unprintable.MatchString(value):
		return fmt.Errorf("%q has control characters, which a unit can't have", value)
	case strings.TrimSpace(value) != value || strings.HasSuffix(value, `\`):
		return fmt.Errorf("%q begins or ends with a space, or ends with a backslash, which a unit can't have", value)
	}
	return nil
}

func percents(value string) string { return strings.ReplaceAll(value, "%", "%%") }

var inQuotes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// systemdPlain is for values that systemd takes up to the line's end, quotes included: only % has a meaning, see
// "Specifiers" in systemd.unit(5).
func systemdPlain(value string) (string, error) { return percents(value), line(value) }

// systemdQuoted is one quoted word: see "Quoting" in systemd.syntax(7).
func systemdQuoted(value string) (string, error) {
	if unprintable.MatchString(value) {
		return "", fmt.Errorf("%q has control characters, which a unit can't have", value)
	}
	return `"` + inQuotes.Replace(percents(value)) + `"`, nil
}

// systemdWord is the program of a command line, in which systemd replaces no $ and wants no quotes.
func systemdWord(value string) (string, error) {
	switch {
	case simpleWord.MatchString(value):
		return value, nil
	case strings.ContainsAny(value, "\"'\\"):
		return "", fmt.Errorf("%q has quotes or backslashes, which systemd doesn't take in the path of a program: put the bridge elsewhere", value)
	}
	return systemdQuoted(value)
}

// supervisorPlain is for values that supervisor takes up to the line's end; %(name)s is replaced in them.
func supervisorPlain(value string) (string, error) {
	if comment.MatchString(value) {
		return "", fmt.Errorf("%q has a ; or # after a space, which begins a comment for supervisor", value)
	}
	return percents(value), line(value)
}

// supervisorLog is for files of the log, in which supervisor (4.3) replaces %(name)s twice.
func supervisorLog(value string) (string, error) {
	plain, err := supervisorPlain(value)
	return percents(plain), err
}

// supervisorWord is one word of a command line, which supervisor splits as Python's shlex.split does.
func supervisorWord(value string) (string, error) {
	plain, err := supervisorPlain(value)
	if err != nil || simpleWord.MatchString(value) {
		return plain, err
	}
	return `"` + inQuotes.Replace(plain) + `"`, nil
}

// supervisorPairs are variables. In their quotes nothing is escaped, and supervisor takes all quotes off a value's ends.
func supervisorPairs(environment []string) (string, error) {
	var pairs []string
	for _, variable := range environment {
		name, value, _ := strings.Cut(variable, "=")
		quote := `"`
		if strings.Contains(value, quote) {
			quote = `'`
		}
		switch {
		case strings.Contains(value, quote), strings.Trim(value, `"'`) != value:
			return "", fmt.Errorf("the variable %s has quotes that supervisor can't be told: set it in common_site_config.json", name)
		case unprintable.MatchString(value) || comment.MatchString(value):
			return "", fmt.Errorf("the variable %s has control characters, or a ; or # after a space, which supervisor can't be told: set it in common_site_config.json", name)
		}
		pairs = append(pairs, name+"="+quote+percents(value)+quote)
	}
	return strings.Join(pairs, ","), nil
}

// shell is a path as one word of a command that is pasted into a shell.
func shell(word string) string {
	if simpleWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
