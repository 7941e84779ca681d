package rqcompat_test

import (
	"testing"

	"github.com/opensoft/dartwing-bridge/rqcompat"
)

func TestKeys(t *testing.T) {
	for got, want := range map[string]string{
		rqcompat.QueuesKey():                          "rq:queues",
		rqcompat.QueueKey("b:q"):                      "rq:queue:b:q",
		rqcompat.IntermediateKey("b:q"):               "rq:queue:b:q:intermediate",
		rqcompat.FirstSeenKey("b:q", "i"):             "rq:queue:b:q:intermediate:first_seen:i",
		rqcompat.JobKey("s::i"):                       "rq:job:s::i",
		rqcompat.ResultsKey("i"):                      "rq:results:i",
		rqcompat.WipKey("b:q"):                        "rq:wip:b:q",
		rqcompat.RegistryKey(rqcompat.Scheduled, "q"): "rq:scheduled:q",
		rqcompat.ExecutionKey("i", "x"):               "rq:execution:i:x",
		rqcompat.ExecutionsKey("i"):                   "rq:executions:i",
		rqcompat.WorkersKey():                         "rq:workers",
		rqcompat.QueueWorkersKey("q"):                 "rq:workers:q",
		rqcompat.WorkerKey("w"):                       "rq:worker:w",
		rqcompat.PubSubChannel("w"):                   "rq:pubsub:w",
		rqcompat.ProcessesKey():                       "rq:processes",
		rqcompat.ProcessKey("p"):                      "rq:process:p",
		rqcompat.HeardKey():                           "rq:processes:heard",
		rqcompat.DataMarkKey():                        "rq:processes:data",
		rqcompat.RateKey("w"):                         "rq:rate:w",
		rqcompat.PausedKey():                          "rq:paused",
		rqcompat.ReleasingKey():                       "rq:releasing",
		rqcompat.ReleasingChildrenKey():               "rq:releasing:children",
		rqcompat.SuspendedKey():                       "rq:suspended",
		rqcompat.CleanLockKey("q"):                    "rq:clean_registries:q",
		rqcompat.SchedulerLockKey("q"):                "rq:scheduler-lock:q",
		rqcompat.SchedulerKey("s"):                    "rq:scheduler:s",
		rqcompat.GroupsKey():                          "rq:groups",
		rqcompat.GroupKey("g"):                        "rq:group:g",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
