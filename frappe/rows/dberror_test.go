package rows

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// TestWhatTheServersErrorsSay: only what is about the value is final. Whatever isn't known says that the server does
// nothing for now.
func TestWhatTheServersErrorsSay(t *testing.T) {
	all := []error{ErrValue, ErrTableMissing, ErrColumnMissing, ErrUnavailable, ErrBusy, ErrAccessDenied, ErrNoDatabase}
	for want, numbers := range map[error][]uint16{
		ErrUnavailable:   {1021, 1040, 1047, 1053, 1062, 1114, 1203, 1226, 1290, 1792, 1836, 1927, 9999},
		ErrBusy:          {1020, 1205, 1213, 1317, 1969},
		ErrAccessDenied:  {1044, 1045, 1142, 1143, 1227, 1698},
		ErrNoDatabase:    {1049},
		ErrColumnMissing: {1054},
		ErrTableMissing:  {1146},
		ErrValue:         {1048, 1118, 1153, 1264, 1265, 1292, 1300, 1366, 1367, 1406, 1411, 1441, 1690, 3819, 4025},
	} {
		for _, n := range numbers {
			err := (&conn{database: database{site: "s"}}).explain(t.Context(), "write", fmt.Errorf("w: %w", &mysql.MySQLError{Number: n, Message: "text"}))
			for _, kind := range all {
				if errors.Is(err, kind) != (kind == want) {
					t.Errorf("%d: %v, want the kind %q alone", n, err, want)
				}
			}
		}
	}
	if err := (&conn{database: database{site: "s"}}).explain(t.Context(), "write", mysql.ErrPktTooLarge); !errors.Is(err, ErrValue) {
		t.Errorf("a packet beyond the limit: %v, want it to be about the value", err)
	}
	if err := (&conn{database: database{site: "s"}}).explain(t.Context(), "write", errors.New("nobody knows")); !errors.Is(err, ErrUnavailable) {
		t.Errorf("an error nobody knows: %v, want one that passes", err)
	}
}

// TestRefusedValuesAreNotShown: the server quotes what it refuses, which may be a job's parameter.
func TestRefusedValuesAreNotShown(t *testing.T) {
	d := &conn{database: database{site: "a.test"}}
	for message, want := range map[string]string{
		"Incorrect string value: 's3cret' it's 's3cret'' for column `a`.`t`.`input_parameters` at row 1": "Incorrect string value for column `a`.`t`.`input_parameters` at row 1",
		"Truncated incorrect DOUBLE value: 's3cret\ns3cret'":                                             "Truncated incorrect DOUBLE value",
		"Duplicate entry 's3cret' for key 'parameters'":                                                  "Duplicate entry for key 'parameters'",
		"Data too long for column 'owner_user' at row 1":                                                 "Data too long for column 'owner_user' at row 1",
	} {
		err := d.explain(t.Context(), "create rows", &mysql.MySQLError{Number: 1366, Message: message})
		if text := err.Error(); !strings.HasSuffix(text, want) || strings.Contains(text, "s3cret") || !errors.Is(err, ErrValue) {
			t.Errorf("%q becomes %q, want %q at its end", message, text, want)
		}
	}
}
