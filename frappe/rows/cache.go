package rows

import (
	"context"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"
)

// delBatch bounds how long one DEL keeps redis_cache from serving others.
const delBatch = 1000

// InvalidateDocument deletes documents from Frappe's document cache, so that frappe.get_cached_doc and get_cached_value
// see rows written past Frappe. In 15 these entries never expire. Call it after COMMIT: before, Frappe would fill the
// cache with the old row again. Key: redis_wrapper.py make_key and get_document_cache_key, 15.41 to 17.
func InvalidateDocument(ctx context.Context, cache redis.UniversalClient, dbName, doctype string, names ...string) error {
	keys := make([]string, len(names))
	for i, name := range names {
		keys[i] = documentCacheKey(dbName, doctype, name)
	}
	for batch := range slices.Chunk(keys, delBatch) {
		if err := cache.Del(ctx, batch...).Err(); err != nil {
			return fmt.Errorf("invalidate %d cached documents of %s: %w", len(batch), doctype, err)
		}
	}
	return nil
}

func documentCacheKey(dbName, doctype, name string) string {
	return dbName + "|document_cache::" + doctype + "::" + name
}
