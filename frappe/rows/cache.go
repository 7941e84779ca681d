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

// InvalidateDocType deletes what Frappe caches about DocTypes whose definition or table was written past Frappe:
// metadata in the places of 15 (hashes) and of 16 (strings), column lists, the list of tables, and metadata_version,
// whose change makes browsers drop their copies.
func InvalidateDocType(ctx context.Context, cache redis.UniversalClient, dbName string, doctypes ...string) error {
	if len(doctypes) == 0 {
		return nil
	}
	prefix := dbName + "|"
	tables := make([]string, len(doctypes))
	keys := []string{prefix + "db_tables", prefix + "metadata_version"}
	for i, doctype := range doctypes {
		tables[i] = "tab" + doctype
		keys = append(keys,
			prefix+"doctype_meta::"+doctype,
			prefix+"doctype_form_meta::"+doctype,
			prefix+"table_columns::"+tables[i],
			documentCacheKey(dbName, "DocType", doctype))
	}
	_, err := cache.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.HDel(ctx, prefix+"doctype_meta", doctypes...)
		p.HDel(ctx, prefix+"doctype_form_meta", doctypes...)
		p.HDel(ctx, prefix+"table_columns", tables...)
		p.Del(ctx, keys...)
		return nil
	})
	if err != nil {
		return fmt.Errorf("invalidate cached metadata of %q: %w", doctypes, err)
	}
	return nil
}

func documentCacheKey(dbName, doctype, name string) string {
	return dbName + "|document_cache::" + doctype + "::" + name
}
