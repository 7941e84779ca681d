package bridge_test

import (
	"log"
	"time"

	"github.com/opensoft/dartwing-bridge/bridge"
)

// Handlers in other languages: a program that is run per job, and a service that is called per job.
func ExampleForeignHandler() {
	_, err := bridge.New(bridge.Config{ // Bench: …
		Foreign: map[string]bridge.ForeignHandler{
			"render_report": {Exec: &bridge.ExecConfig{Command: []string{"python3", "/opt/render.py"}, KillGrace: 2 * time.Second}},
			"classify_text": {HTTP: &bridge.HTTPConfig{URL: "http://127.0.0.1:8080/classify", Timeout: time.Minute}},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
}
