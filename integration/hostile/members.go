package main

import (
	"fmt"
	"strings"

	"github.com/opensoft/dartwing-bridge/frappe"
)

const megabyte = 1 << 20

// enqueued are bad members that frappe.enqueue writes: values that no row takes, tenants that aren't the user's, names
// that don't exist. %L stands for 200 letters, %M for a megabyte of them.
var enqueued = map[string]string{
	"organization of 200 letters":     `"method": "hostile.bad", "user": "mallory@attacker.example", "organization": "%L"`,
	"organization of a megabyte":      `"method": "hostile.bad", "user": "mallory@attacker.example", "organization": "%M"`,
	"user of 200 letters":             `"method": "hostile.bad", "user": "%L", "organization": "ORG-ATTACKER"`,
	"user None":                       `"method": "hostile.bad", "user": null, "organization": "ORG-ATTACKER"`,
	"user empty":                      `"method": "hostile.bad", "user": "", "organization": "ORG-ATTACKER"`,
	"user a number":                   `"method": "hostile.bad", "user": 7, "organization": "ORG-ATTACKER"`,
	"user a list":                     `"method": "hostile.bad", "user": ["mallory@attacker.example"], "organization": "ORG-ATTACKER"`,
	"user that doesn't exist":         `"method": "hostile.bad", "user": "nobody@nowhere.example", "organization": "ORG-ATTACKER"`,
	"user with NUL":                   `"method": "hostile.bad", "user": "mallory\u0000@attacker.example", "organization": "ORG-ATTACKER"`,
	"user with half a surrogate pair": `"method": "hostile.bad", "user": "\ud800", "organization": "ORG-ATTACKER"`,
	"timeout of 10^13":                `"method": "hostile.bad", "user": "mallory@attacker.example", "organization": "ORG-ATTACKER", "timeout": 10000000000000`,
	"timeout of 10^30":                `"method": "hostile.bad", "user": "mallory@attacker.example", "organization": "ORG-ATTACKER", "timeout": 1000000000000000000000000000000`,
	"timeout of 2^31":                 `"method": "hostile.bad", "user": "mallory@attacker.example", "organization": "ORG-ATTACKER", "timeout": 2147483648`,
	"timeout negative":                `"method": "hostile.bad", "user": "mallory@attacker.example", "organization": "ORG-ATTACKER", "timeout": -7`,
	"organization unknown":            `"method": "hostile.bad", "user": "mallory@attacker.example", "organization": "ORG-NOWHERE"`,
	"organization in lower case":      `"method": "hostile.bad", "user": "mallory@attacker.example", "organization": "org-attacker"`,
	"organization with a space":       `"method": "hostile.bad", "user": "mallory@attacker.example", "organization": "ORG-ATTACKER "`,
	"organization with an accent":     `"method": "hostile.bad", "user": "mallory@attacker.example", "organization": "ÓRG-ATTACKER"`,
	"foreign organization":            `"method": "hostile.bad", "user": "mallory@attacker.example", "organization": "ORG-VICTIM"`,
	"foreign organization, spelt":     `"method": "hostile.bad", "user": "mallory@attacker.example", "organization": "org-victim "`,
	"organization with NUL":           `"method": "hostile.bad", "user": "mallory@attacker.example", "organization": "ORG\u0000"`,
	"organization half a pair":        `"method": "hostile.bad", "user": "mallory@attacker.example", "organization": "\udfff"`,
	"organization a list":             `"method": "hostile.bad", "user": "mallory@attacker.example", "organization": ["ORG-VICTIM"]`,
	"organization a number":           `"method": "hostile.bad", "user": "mallory@attacker.example", "organization": 1e400`,
	"organization None":               `"method": "hostile.bad", "user": "mallory@attacker.example", "organization": null`,
	"no organization":                 `"method": "hostile.bad", "user": "mallory@attacker.example"`,
	"Administrator":                   `"method": "hostile.bad", "user": "Administrator", "organization": "ORG-VICTIM"`,
	"Guest":                           `"method": "hostile.bad", "user": "Guest", "organization": "ORG-VICTIM"`,
	"method unknown":                  `"method": "erpnext.gone", "user": "mallory@attacker.example"`,
	"method of a megabyte":            `"method": "%M", "user": "mallory@attacker.example"`,
	"method with NUL":                 `"method": "hostile\u0000.bad", "user": "mallory@attacker.example"`,
	"method with half a pair":         `"method": "\udc00", "user": "mallory@attacker.example"`,
	"method empty":                    `"method": "", "user": "mallory@attacker.example"`,
	"type spelt in capitals":          `"method": "BAD", "user": "mallory@attacker.example", "organization": "ORG-ATTACKER"`,
	"parameters of a megabyte":        `"method": "hostile.bad", "user": "mallory@attacker.example", "organization": "ORG-ATTACKER", "text": "%M"`,
	"parameters with NUL":             `"method": "hostile.bad", "user": "mallory@attacker.example", "organization": "ORG-ATTACKER", "text": "a\u0000b"`,
	"parameters with half a pair":     `"method": "hostile.bad", "user": "mallory@attacker.example", "organization": "ORG-ATTACKER", "text": "\ud83d"`,
	"parameters that are infinite":    `"method": "hostile.bad", "user": "mallory@attacker.example", "organization": "ORG-ATTACKER", "n": [NaN, Infinity, -Infinity]`,
	"job name of a megabyte":          `"method": "hostile.bad", "user": "mallory@attacker.example", "organization": "ORG-ATTACKER", "job_name": "%M"`,
	"a callback of Python":            `"method": "hostile.bad", "user": "mallory@attacker.example", "organization": "ORG-ATTACKER", "on_success": "tasks.on_success"`,
	"a row that doesn't exist":        `"method": "` + frappe.Executor + `", "user": "mallory@attacker.example", "background_job_id": "JOB-2020-00001"`,
	"a row's name with a wildcard":    `"method": "` + frappe.Executor + `", "user": "mallory@attacker.example", "background_job_id": "JOB-%"`,
	"a row's name of a megabyte":      `"method": "` + frappe.Executor + `", "user": "mallory@attacker.example", "background_job_id": "%M"`,
	"a row's name with half a pair":   `"method": "` + frappe.Executor + `", "user": "mallory@attacker.example", "background_job_id": "\ud800"`,
	"a site that doesn't exist":       `"method": "hostile.bad", "site": "nowhere.localhost"`,
	"a site of another directory":     `"method": "hostile.bad", "site": "../sites/hostile.localhost"`,
	"a site of a megabyte":            `"method": "hostile.bad", "site": "%M"`,
	"a site with NUL":                 `"method": "hostile.bad", "site": "a\u0000b"`,
}

// asked is a bad member that Python enqueues under the id, on the queue of the kind.
func asked(options, id, kind string) question {
	options = strings.NewReplacer("%L", strings.Repeat("L", 200), "%M", strings.Repeat("M", megabyte)).Replace(options)
	if !strings.Contains(options, `"site":`) {
		options += fmt.Sprintf(`, "site": %q`, site)
	}
	return frappeEnqueue(fmt.Sprintf(`{%s, "queue": %q, "job_id": %q}`, options, kind, id))
}

// badIDs are ids that no hash needs to stand behind.
func badIDs() map[string]string {
	return map[string]string{
		"id of a megabyte": strings.Repeat("i", megabyte), "id empty": "", "id with NUL": "a\x00b", "id with a line break": "a\r\nb", "id not UTF-8": "\xff\xfe\x80",
		"id of another site": "nowhere.localhost||x", "id of nothing but the separator": "||", "id that is a key": "rq:job:x", "id with braces": "{}", "id with wildcards": "*?[",
	}
}
