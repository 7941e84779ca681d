package pickle

// Plain converts a decoded value to what encoding/json can write. It never fails.
func Plain(v any) (plain any, lossy []string) { return nil, nil }

// JSON is Plain, written as JSON.
func JSON(v any) (b []byte, lossy []string) { return nil, nil }
