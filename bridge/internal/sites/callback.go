package sites

import (
	"errors"
	"fmt"
	"slices"

	"github.com/opensoft/dartwing-bridge/frappe"
	"github.com/opensoft/dartwing-bridge/rqcompat"
)

// End is the end of a job whose caller may want to hear of it in Python.
type End struct {
	// Site is "" for a job that another program than Frappe enqueued, ID is RQ's.
	Site, ID string
	Kind     rqcompat.CallbackKind
	// Callback is the caller's for this kind of end; without a name he named none.
	Callback rqcompat.Callback
	// When tells this end from others of the same job, and is the same for whoever tells of it.
	When string
	// Class and Message are the exception of a failure.
	Class, Message string
	Serializer     rqcompat.Serializer
}

// CallBack gives what hands the callback for an end over to Python, and what is to be said of that; nil and "" if nobody wants
// to hear of it. What can't be handed over is said as well.
func (c Courier) CallBack(e End) (h *rqcompat.HandOver, said string) {
	if e.Callback.Name == "" {
		return nil, ""
	}
	queue, err := c.pythonQueue()
	h = &rqcompat.HandOver{
		ID: fmt.Sprintf("%s_callback_%.32s", e.Kind, frappe.Digest(fmt.Sprintf("%q %s", e.ID, e.When))), Queue: queue, Kind: e.Kind, Callback: e.Callback,
		Class: e.Class, Message: e.Message, Serializer: e.Serializer,
	}
	var config frappe.Config
	if err == nil {
		if config, err = c.configOf(e.Site); err == nil {
			err = h.Check()
		}
	}
	if err != nil {
		return nil, fmt.Sprintf("the %s callback %.140q isn't called: %v", e.Kind, e.Callback.Name, err)
	}
	defaults := frappe.NewEnqueueDefaults(config)
	h.ResultTTL, h.FailureTTL = &defaults.ResultTTL, &defaults.FailureTTL
	h.FailureCallback = rqcompat.Callback{Name: defaults.FailureCallback, Timeout: &defaults.FailureCallbackTimeout}
	return h, fmt.Sprintf("handed the %s callback %s to Python as job %s on queue %s", e.Kind, h.Name, h.ID, queue)
}

func (c Courier) configOf(site string) (frappe.Config, error) {
	if site == "" {
		return c.Bench.Config(), nil
	}
	s, err := c.Bench.Site(site)
	if err != nil {
		return nil, err
	}
	return s.Config(), nil
}

// pythonQueue is a queue that Python workers listen on: Frappe's default one, unless that is the bridge's own.
func (c Courier) pythonQueue() (string, error) {
	known := queueNames(c.Bench.QueueTypes())
	for _, kind := range slices.Concat([]string{"default", "short", "long"}, known) {
		if slices.Contains(known, kind) && !slices.Contains(c.OwnQueues, kind) {
			return c.Bench.QueueName(kind), nil
		}
	}
	return "", errors.New("all queues of the bench are the bridge's own, so that no Python worker would get it")
}
