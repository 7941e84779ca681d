package bridge_test

import (
	"encoding/json"
	"fmt"
	"log"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
)

// Frappe's datetimes are naive: they mean the site's time zone.
func ExampleDatetime() {
	var until bridge.Datetime
	if err := json.Unmarshal([]byte(`"2024-02-29 23:59:59.5"`), &until); err != nil {
		log.Fatal(err)
	}
	fmt.Println(until.Naive, until.In(time.FixedZone("Asia/Kolkata", 19800)))
	// Output: true 2024-02-29 23:59:59.5 +0530 Asia/Kolkata
}

func ExampleTimedelta() {
	var late bridge.Timedelta
	if err := json.Unmarshal([]byte(`"-1 day, 23:30:00"`), &late); err != nil {
		log.Fatal(err)
	}
	fmt.Println(late.Duration(), "is", late)
	// Output: -30m0s is -1 day, 23:30:00
}

// 1.10 is not a float64: a Decimal keeps what Python had.
func ExampleDecimal() {
	var amount bridge.Decimal
	if err := json.Unmarshal([]byte(`"1.10"`), &amount); err != nil {
		log.Fatal(err)
	}
	exact, _ := amount.Rat()
	fmt.Println(amount, exact)
	// Output: 1.10 11/10
}

func ExampleDate() {
	b, _ := json.Marshal(Invoice{Number: "INV-1", Due: bridge.Date{Year: 2025, Month: time.March, Day: 31}})
	fmt.Println(string(b))
	// Output: {"number":"INV-1","due":"2025-03-31","amount":null}
}
