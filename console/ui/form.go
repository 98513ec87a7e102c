package ui

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/docsgate/docsgate/keys/registry"
)

// writeContext returns the context for a change, which a browser that disconnects must not interrupt.
func writeContext(r *http.Request) context.Context { return context.WithoutCancel(r.Context()) }

// fieldErrors returns the field errors in an error by field. It is empty if the error also contains others.
func fieldErrors(err error) map[string]string {
	wrong := make(map[string]string)
	if err == nil || !collect(err, wrong) {
		return nil
	}
	return wrong
}

func collect(err error, wrong map[string]string) bool {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			if !collect(one, wrong) {
				return false
			}
		}
		return true
	}
	var field *registry.FieldError
	if !errors.As(err, &field) {
		return false
	}
	if wrong[field.Field] == "" {
		wrong[field.Field] = toSentence(field.Message)
	}
	return true
}

// toSentence capitalizes a message and adds a full stop.
func toSentence(text string) string {
	if text == "" {
		return text
	}
	if c := text[0]; 'a' <= c && c <= 'z' {
		text = string(c-'a'+'A') + text[1:]
	}
	if !strings.ContainsAny(text[len(text)-1:], ".!?") {
		text += "."
	}
	return text
}

// lines returns the distinct non-blank lines of a field.
func lines(text string) []string {
	var all []string
	seen := make(map[string]bool)
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !seen[line] {
			seen[line] = true
			all = append(all, line)
		}
	}
	return all
}

// formOption is one option of a choice.
type formOption struct {
	Value, Label string
	span         time.Duration
}

const customChoice = "own"

const day = 24 * time.Hour

// lifetimes are the options for the expiry of a new key.
var lifetimes = []formOption{
	{"never", "Never", 0},
	{"30d", "30 days", 30 * day},
	{"90d", "90 days", 90 * day},
	{"1y", "1 year", 365 * day},
	{customChoice, "On a date", 0},
}

// graces are the options for the grace period of a rotation.
var graces = []formOption{
	{"0", "None", 0},
	{"1h", "1 hour", time.Hour},
	{"24h", "24 hours", day},
	{"7d", "7 days", 7 * day},
	{"30d", "30 days", 30 * day},
	{customChoice, "Custom", 0},
}

func findOption(among []formOption, value string) (formOption, bool) {
	for _, c := range among {
		if c.Value == value {
			return c, true
		}
	}
	return formOption{}, false
}
