package rows

import (
	"errors"
	"fmt"
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
			err := (&conn{database: database{site: "s"}}).explain("write", fmt.Errorf("w: %w", &mysql.MySQLError{Number: n, Message: "text"}))
			for _, kind := range all {
				if errors.Is(err, kind) != (kind == want) {
					t.Errorf("%d: %v, want the kind %q alone", n, err, want)
				}
			}
		}
	}
	if err := (&conn{database: database{site: "s"}}).explain("write", mysql.ErrPktTooLarge); !errors.Is(err, ErrValue) {
		t.Errorf("a packet beyond the limit: %v, want it to be about the value", err)
	}
	if err := (&conn{database: database{site: "s"}}).explain("write", errors.New("nobody knows")); !errors.Is(err, ErrUnavailable) {
		t.Errorf("an error nobody knows: %v, want one that passes", err)
	}
}
