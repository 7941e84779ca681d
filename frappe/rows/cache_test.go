package rows

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opensoft/dartwing-bridge/integration/servers/servertest"
	"github.com/redis/go-redis/v9"
)

func cacheServer(t *testing.T) (*redis.Client, func()) {
	t.Helper()
	server := servertest.Redis(t)
	options, err := redis.ParseURL(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	options.MaxRetries = -1
	rdb := redis.NewClient(options)
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb, server.Kill
}

func keys(t *testing.T, rdb *redis.Client) []string {
	t.Helper()
	all, err := rdb.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

func TestInvalidateDocument(t *testing.T) {
	rdb, kill := cacheServer(t)
	ctx := t.Context()
	const db = "_1bd3e0294da19198"
	var names []string
	for i := range delBatch + 5 {
		names = append(names, fmt.Sprint("JOB-", i))
	}
	for _, key := range []string{
		db + "|document_cache::Background Job::JOB-0", db + "|document_cache::Background Job::JOB-1004",
		db + "|document_cache::Background Job::other", db + "|document_cache::Job Type::JOB-0",
		"_other|document_cache::Background Job::JOB-0",
	} {
		if err := rdb.Set(ctx, key, "pickle", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := InvalidateDocument(ctx, rdb, db, "Background Job", names...); err != nil {
		t.Fatal(err)
	}
	want := []string{
		db + "|document_cache::Background Job::other", db + "|document_cache::Job Type::JOB-0",
		"_other|document_cache::Background Job::JOB-0",
	}
	if diff := cmp.Diff(want, keys(t, rdb)); diff != "" {
		t.Errorf("keys left (-want +got):\n%s", diff)
	}
	kill()
	if err := InvalidateDocument(ctx, rdb, db, "Background Job"); err != nil {
		t.Errorf("no names, nothing to ask Redis for: %v", err)
	}
	if err := InvalidateDocument(ctx, rdb, db, "Background Job", "x"); err == nil {
		t.Error("Redis killed: no error")
	}
}
