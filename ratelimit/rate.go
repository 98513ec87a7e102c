package ratelimit

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/docsgate/docsgate/internal/duration"
)

// The limits of a [Rate].
const (
	MaxCount = 1_000_000_000
	MinPer   = time.Second
	MaxPer   = 31 * 24 * time.Hour
)

// off is the text of the zero Rate.
const off = "off"

var (
	errSyntax = errors.New("write a rate such as 600/1m, or off")
	errCount  = errors.New("write a count from 1 to " + strconv.Itoa(MaxCount) + ", such as in 600/1m, or off")
	errPer    = errors.New("write a duration from 1s to 31d, such as in 600/1m")
)

// Rate limits requests to Count in each Per on average. As many as Count may come in one burst. The zero value means no limit.
//
// Count is from 1 to [MaxCount], and Per from [MinPer] to [MaxPer]. [Limiter] raises or lowers values out of range, so that an
// invalid rate never means no limit.
type Rate struct {
	Count int
	Per   time.Duration
}

// ParseRate parses a rate: a count, a slash and a duration, such as 600/1m. The duration is one that the other options accept, such
// as 1m or 7d, or one of Go, such as 1500ms. The text off is the zero Rate. The error is meant for users and does not repeat
// the text.
func ParseRate(text string) (Rate, error) {
	if text == off {
		return Rate{}, nil
	}
	before, after, ok := strings.Cut(text, "/")
	if !ok || after == "" || after[0] < '0' || after[0] > '9' {
		return Rate{}, errSyntax
	}
	count, err := strconv.ParseUint(before, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrSyntax):
		return Rate{}, errSyntax
	case err != nil, count < 1, count > MaxCount:
		return Rate{}, errCount
	}
	per, err := duration.Parse(after)
	if err != nil {
		if per, err = time.ParseDuration(after); err != nil {
			return Rate{}, errPer
		}
	}
	if per < MinPer || per > MaxPer {
		return Rate{}, errPer
	}
	return Rate{Count: int(count), Per: per}, nil
}

// IsZero reports whether r means no limit.
func (r Rate) IsZero() bool { return r == Rate{} }

// String returns the rate as [ParseRate] reads it, such as 600/1m or 10/7d, or off.
func (r Rate) String() string {
	if r.IsZero() {
		return off
	}
	const day = 24 * time.Hour
	var per string
	if r.Per >= day && r.Per%day == 0 {
		per = strconv.FormatInt(int64(r.Per/day), 10) + "d"
	} else {
		per = r.Per.String()
		if strings.HasSuffix(per, "m0s") {
			per = strings.TrimSuffix(per, "0s")
		}
		if strings.HasSuffix(per, "h0m") {
			per = strings.TrimSuffix(per, "0m")
		}
	}
	return strconv.Itoa(r.Count) + "/" + per
}

// MarshalText implements [encoding.TextMarshaler]. The text is that of String.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It accepts what [ParseRate] accepts, and leaves r unchanged on errors.
func (r *Rate) UnmarshalText(text []byte) error {
	parsed, err := ParseRate(string(text))
	if err != nil {
		return err
	}
	*r = parsed
	return nil
}

// Clamp returns r with values in range.
func (r Rate) Clamp() Rate {
	if r.IsZero() {
		return r
	}
	return Rate{Count: min(max(r.Count, 1), MaxCount), Per: min(max(r.Per, MinPer), MaxPer)}
}

// Share returns the part of the rate for one of n gates, so that n of them together allow as many requests as r, apart from rounding. If
// there are more gates than requests in each Per, a gate allows one request in a longer time, at most [MaxPer]. It is zero only if r is.
func (r Rate) Share(n int) Rate {
	r = r.Clamp()
	switch {
	case r.IsZero() || n <= 1:
		return r
	case r.Count >= n:
		return Rate{Count: r.Count / n, Per: r.Per}
	}
	count, gates := time.Duration(r.Count), time.Duration(n)
	if r.Per/count >= MaxPer/gates {
		return Rate{Count: 1, Per: MaxPer}
	}
	return Rate{Count: 1, Per: r.Per/count*gates + r.Per%count*gates/count}
}
