package keyscmd

import (
	"strings"
	"testing"

	"github.com/docsgate/docsgate/console/api"
)

func TestDescribeQuota(t *testing.T) {
	exact := api.Quota{QuestionsToday: 3, TokensToday: 70}
	if got := describeQuota(&exact); !strings.HasPrefix(got, "3 questions and 70 tokens today (until ") {
		t.Error(got)
	}
	estimated := api.Quota{QuestionsToday: 3, TokensToday: 70, EstimatedTokensToday: 20}
	if got := describeQuota(&estimated); !strings.HasPrefix(got, "3 questions and 70 tokens, 20 of them estimated, today (until ") {
		t.Error(got)
	}
}
