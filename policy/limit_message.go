package policy

import (
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/docsgate/docsgate/internal/displaytext"
)

// LimitMessage is the sentence in the responses to requests that a limit rejects. It may contain the placeholders {wait}, such as
// "20 seconds", and {wait_short}, such as "20 s", which most languages understand. Clients show it to people as plain text. The empty
// message is not set: the default applies.
type LimitMessage string

// MaxLimitMessage is the number of characters that a LimitMessage may have.
const MaxLimitMessage = 300

// Placeholders of a LimitMessage.
const (
	waitPlaceholder      = "{wait}"
	waitShortPlaceholder = "{wait_short}"
)

var withoutPlaceholders = strings.NewReplacer(waitPlaceholder, "", waitShortPlaceholder, "")

// ParseLimitMessage validates a message. The error is for users and does not repeat the text, which may be a pasted token.
func ParseLimitMessage(text string) (LimitMessage, error) {
	m := LimitMessage(text)
	return m, m.Validate()
}

// Validate returns an error for users unless the message is one line of at most MaxLimitMessage characters, with known placeholders.
func (m LimitMessage) Validate() error {
	text := string(m)
	switch {
	case !utf8.ValidString(text):
		return errors.New("limit_message must be valid UTF-8")
	case utf8.RuneCountInString(text) > MaxLimitMessage:
		return errors.New("limit_message must have at most " + strconv.Itoa(MaxLimitMessage) + " characters")
	case text != "" && strings.TrimSpace(text) == "":
		return errors.New("limit_message must not be blank")
	case strings.ContainsFunc(text, displaytext.BreaksLine):
		return errors.New("limit_message must be a single line without control characters")
	}
	if strings.ContainsAny(withoutPlaceholders.Replace(text), "{}") {
		return errors.New("limit_message has an unknown placeholder: must be {wait} or {wait_short}")
	}
	return nil
}

// Format returns the message with the time that a client has to wait, rounded up.
func (m LimitMessage) Format(wait time.Duration) string {
	n, unit := roundWait(wait)
	short := n + " " + unit.symbol
	long := n + " " + unit.name
	if n != "1" {
		long += "s"
	}
	return strings.NewReplacer(waitPlaceholder, long, waitShortPlaceholder, short).Replace(string(m))
}

// waitUnit is a unit of the times in messages.
type waitUnit struct {
	length       time.Duration
	name, symbol string
}

// waitUnits are the units, the shortest first.
var waitUnits = []waitUnit{{time.Second, "second", "s"}, {time.Minute, "minute", "min"}, {time.Hour, "hour", "h"}, {24 * time.Hour, "day", "d"}}

// roundWait returns a number of the largest unit of which there are more than two.
func roundWait(d time.Duration) (n string, unit waitUnit) {
	unit = waitUnits[0]
	for _, u := range waitUnits[1:] {
		if d > 2*u.length {
			unit = u
		}
	}
	return strconv.FormatInt(int64((d+unit.length-1)/unit.length), 10), unit
}
