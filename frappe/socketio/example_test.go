package socketio_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/opensoft/dartwing-bridge/frappe/socketio"
)

// Watching one document as its open form does. The connection needs the session cookie of a browser.
func ExampleDial() {
	ctx := context.Background()
	conn, err := socketio.Dial(ctx, socketio.Config{
		URL: "http://127.0.0.1:9000", Site: "site1.localhost", Origin: "http://site1.localhost:8000",
		Header: http.Header{"Cookie": {"sid=…"}},
	})
	if err != nil {
		return
	}
	defer conn.Close()
	if err := conn.Emit(ctx, "doc_subscribe", "Background Job", "JOB-2026-00001"); err != nil {
		return
	}
	for {
		event, arguments, err := conn.Next(ctx)
		if err != nil {
			return
		}
		fmt.Printf("%s %s\n", event, arguments)
	}
}

func ExampleConnectError() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"message": "Unauthorized"}`, http.StatusForbidden)
	}))
	defer server.Close()
	_, err := socketio.Dial(context.Background(), socketio.Config{URL: server.URL, Site: "site1.localhost"})
	var refused *socketio.ConnectError
	if errors.As(err, &refused) {
		fmt.Println(refused.Status, refused.Message)
	}
	// Output: 403 Unauthorized
}
