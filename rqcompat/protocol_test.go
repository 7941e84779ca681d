package rqcompat

import (
	"io/fs"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// TestProtocolIsComplete: PROTOCOL.md names every flag of a dialect, every field of the hash and every script, and
// the files that it names exist.
func TestProtocolIsComplete(t *testing.T) {
	b, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	named := func(what, name string) {
		if !strings.Contains(text, name) {
			t.Errorf("%s %s is not described in PROTOCOL.md", what, name)
		}
	}
	flags := reflect.TypeFor[Dialect]()
	for i := range flags.NumField() {
		if f := flags.Field(i); f.Type.Kind() == reflect.Bool && f.Name != "Tested" {
			named("flag", "`"+f.Name+"`")
		}
	}
	for _, f := range jobFields {
		if name, callback := strings.CutSuffix(f.name, "_callback_timeout"); callback {
			named("callback", "`"+name)
			continue
		}
		if !strings.Contains(f.name, "callback") {
			named("field", "`"+f.name+"`")
		}
	}
	for _, key := range []string{
		QueuesKey(), QueueKey("<q>"), IntermediateKey("<q>"), FirstSeenKey("<q>", "<id>"), JobKey("<id>"), ResultsKey("<id>"),
		ExecutionKey("<id>", "<x>"), ExecutionsKey("<id>"), WorkersKey(), QueueWorkersKey("<q>"), WorkerKey("<w>"), PubSubChannel("<w>"),
		SuspendedKey(), CleanLockKey("<q>"), SchedulerLockKey("<q>"), SchedulerKey("<name>"), GroupsKey(), GroupKey("<name>"),
		WipKey("<q>"), RegistryKey(Finished, "<q>"), RegistryKey(Failed, "<q>"), RegistryKey(Deferred, "<q>"),
		RegistryKey(Scheduled, "<q>"), RegistryKey(Canceled, "<q>"),
	} {
		named("key", "`"+key+"`")
	}
	for _, file := range regexp.MustCompile("`((?:lua/|pickle/)?[a-z_]+\\.(?:go|lua))`").FindAllStringSubmatch(text, -1) {
		if _, err := fs.Stat(os.DirFS("."), file[1]); err != nil {
			t.Errorf("PROTOCOL.md names a file that is not there: %v", err)
		}
	}
}
