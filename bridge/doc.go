// Package bridge works the background jobs of a Frappe bench in Go: what Python enqueues with frappe.enqueue reaches
// handlers here, and what is submitted here reaches Python workers. It is the only place where RQ on Redis (package
// rqcompat) and the bench with its rows (package frappe) meet.
//
// An Engine works jobs: New, Register, Run. A Client submits, cancels, retries and looks; an Engine and a running
// handler submit over the engine's own connections. Package benchconfig reads a Config from a bench's files and the
// environment, package bridgetest tries a handler without any server. ARCHITECTURE.md tells the life of one job.
//
// # The row is the truth, Redis is delivery
//
// A job of a Job Type has a row of the DocType Background Job. Every change of its status is a compare-and-swap with a
// row in the log, in one transaction; all of them stand in internal/moves. A delivery that comes twice finds a row that
// has moved on and is only tidied up; a row without a delivery is delivered again. Jobs of methods that no Job Type
// declares have no row: RQ's state is all there is of them. One that fails in passing is scheduled again in RQ a few
// times within a minute (Config.RetryIntervals).
//
// # What happens when things stop
//
// An orderly stop claims nothing more, waits, cancels what still runs with ErrShutdown as the cause and gives it back
// without spending a retry. The death of a process is noticed within about a second, that of a host when its leases
// lapse, within 15 s, and any bridge of the bench gives the jobs back; one that takes its worker down three times is
// dead-lettered. Delivery is at least once: a handler must bear to run again.
//
// # Parameters from Python
//
// A handler's parameters are JSON: the keyword arguments that Python pickled, written as follows, or a row's
// input_parameters as they are. They are decoded into the handler's P as encoding/json does: a field needs its tag, since
// InvoiceYear doesn't match invoice_year; what is absent leaves its field zero, so a pointer tells absent from zero; what
// P has no field for is ignored, or with StrictParams an error.
//
//	Python                      JSON                                 Go
//	None                        null                                 leaves the field as it is; a pointer stays nil
//	bool, str                   true, "…"                            bool, string; lone surrogates have become U+FFFD
//	int                         a number of any length               int64, *big.Int, json.Number; a float64 and an any round
//	float                       a number                             float64
//	nan, inf, -inf              "nan", "inf", "-inf"                 string
//	datetime                    "2024-02-29 23:59:59.5+01:00"        Datetime; without a zone it is naive, a zone that has only
//	                                                                 a name follows in brackets: "…[Europe/Berlin]"
//	date                        "2024-02-29"                         Date
//	time                        "23:59:59.5"                         string, see time.TimeOnly
//	timedelta                   "-1 day, 23:59:59.5"                 Timedelta
//	Decimal                     "1.50", "1E+400", "NaN"              Decimal
//	UUID                        "12345678-1234-5678-1234-567812345678"  string
//	list, tuple                 an array                             a slice
//	set, frozenset              an array, in no order                a slice
//	dict, frappe._dict          an object; keys that aren't strings  a struct or a map
//	                            are written as JSON writes them
//	a subclass of dict, list,   as that type; a named tuple is an    as for that type
//	tuple, str, int, float      array
//	bytes, bytearray            a string where they are UTF-8,       string; JobInfo.Lossy tells the two apart, and producers
//	                            else base64                          do better to send base64 that they made
//	a function or class         "module.name"                        string
//	any other object            {"__class__": "module.Name", …}      a struct or a map
//
// What a value loses that way is named in JobInfo.Lossy and in the log of the job's row. Nothing is cut: parameters whose
// JSON is larger than 128 MiB fail the job before it starts, or leave it to Python on a shared queue.
//
// The pickle subcommand of the program shows what a waiting job holds. Encoded again, as parameters of another job or as
// a result, the types above give the same JSON.
package bridge
