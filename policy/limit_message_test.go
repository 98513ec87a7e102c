package policy

import (
	"strings"
	"testing"
	"time"
)

func TestParseLimitMessage(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 "",
		"Zu viele Fragen.":                 "",
		" Bitte in {wait_short} erneut. ":  "",
		"{wait}{wait_short}{wait}":         "",
		strings.Repeat("ü", 300):           "",
		"<b>{wait}</b> & \"quotes\" \\ %s": "",
		strings.Repeat("ü", 301):           "at most 300 characters",
		" \u3000":                          "not be blank",
		"bad \xff bytes":                   "valid UTF-8",
		"two\nlines":                       "single line",
		"two\u2028lines":                   "single line",
		"\x1b[31mred":                      "single line",
		"in {seconds}":                     "unknown placeholder",
		"in {WAIT}":                        "unknown placeholder",
		"in {wait":                         "unknown placeholder",
		"in wait}":                         "unknown placeholder",
		"in {{wait}}":                      "unknown placeholder",
		"in {wa{wait}it}":                  "unknown placeholder",
		"{env.SECRET}":                     "unknown placeholder",
	} {
		message, err := ParseLimitMessage(text)
		switch {
		case want == "" && err != nil, want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: error %v, want %q", text, err, want)
		case err != nil && strings.Contains(err.Error(), "SECRET"):
			t.Errorf("%q: the error repeats the text: %v", text, err)
		case err == nil && string(message) != text:
			t.Errorf("%q becomes %q", text, message)
		}
	}
}

func TestLimitMessageFormat(t *testing.T) {
	for _, test := range []struct {
		wait        time.Duration
		long, short string
	}{
		{time.Millisecond, "1 second", "1 s"},
		{time.Second, "1 second", "1 s"},
		{1500 * time.Millisecond, "2 seconds", "2 s"},
		{2 * time.Minute, "120 seconds", "120 s"},
		{2*time.Minute + time.Second, "3 minutes", "3 min"},
		{2 * time.Hour, "120 minutes", "120 min"},
		{3 * time.Hour, "3 hours", "3 h"},
		{3*time.Hour + 1, "4 hours", "4 h"},
		{48 * time.Hour, "48 hours", "48 h"},
		{48*time.Hour + 1, "3 days", "3 d"},
		{31 * 24 * time.Hour, "31 days", "31 d"},
	} {
		got := LimitMessage("{wait}|{wait_short}|%s|{wait}").Format(test.wait)
		if want := test.long + "|" + test.short + "|%s|" + test.long; got != want {
			t.Errorf("%v: %q, want %q", test.wait, got, want)
		}
	}
}
