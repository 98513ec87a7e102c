package doctor

import (
	"errors"
	"strings"
	"testing"
)

func TestTokenUsage(t *testing.T) {
	for _, c := range []struct {
		usage TokenUsage
		want  Severity
		says  string
	}{
		{TokenUsage{}, OK, "records"},
		{TokenUsage{Unreadable: "the role may not read it"}, Note, "since the feed docsgpt:x/docsgpt cannot read what answers have cost: the role may not"},
		{TokenUsage{Err: errors.New("it is down")}, Unknown, "it is down"},
	} {
		x := &runner{input: Input{TokenUsage: map[string]TokenUsage{"docsgpt:x/docsgpt": c.usage}}}
		x.checkTokenUsage(t.Context())
		if len(x.Findings) != 1 || x.worst("feeds.token_usage") != c.want || !strings.Contains(x.Findings[0].Summary, c.says) {
			t.Errorf("%+v: %+v", c.usage, x.Findings)
		}
	}
	x := &runner{}
	if x.checkTokenUsage(t.Context()); len(x.Findings) > 0 {
		t.Errorf("without a limit of tokens: %+v", x.Findings)
	}
}
