package job

import "github.com/opensoft/dartwing-bridge/rqcompat"

// Callbacks are the functions of a job's caller, in Python, that are to be called when it has ended, by kind of end. Frappe's
// own house-keeping isn't among them: the bridge does that itself.
type Callbacks map[rqcompat.CallbackKind]rqcompat.Callback

// CallbackKinds are all there are.
var CallbackKinds = [...]rqcompat.CallbackKind{rqcompat.CallbackSuccess, rqcompat.CallbackFailure, rqcompat.CallbackStopped}

// Any is one of their names, "" for none.
func (c Callbacks) Any() string {
	for _, kind := range CallbackKinds {
		if callback := c[kind]; callback.Name != "" {
			return callback.Name
		}
	}
	return ""
}
