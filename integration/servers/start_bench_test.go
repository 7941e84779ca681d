package servers_test

import (
	"testing"

	"github.com/opensoft/dartwing-bridge/integration/servers"
)

// What a test pays for a server of its own: start and stop.
func BenchmarkStart(b *testing.B) {
	b.Run("redis", func(b *testing.B) {
		for b.Loop() {
			r, err := servers.StartRedis(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			r.Stop()
		}
	})
	b.Run("mariadb", func(b *testing.B) {
		for b.Loop() {
			m, err := servers.StartMariaDB(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			m.Stop()
		}
	})
	b.Run("realtime", func(b *testing.B) {
		r, err := servers.StartRedis(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		defer r.Stop()
		for b.Loop() {
			rt, err := servers.StartRealtime(b.Context(), servers.RealtimeConfig{RedisURL: r.URL()})
			if err != nil {
				b.Fatal(err)
			}
			rt.Stop()
		}
	})
}
