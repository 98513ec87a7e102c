package ratelimit

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestParseRate(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]struct {
		rate   Rate
		string string
	}{
		"600/1m":        {Rate{600, time.Minute}, "600/1m"},
		"1/1s":          {Rate{1, time.Second}, "1/1s"},
		"20/60s":        {Rate{20, time.Minute}, "20/1m"},
		"20/90s":        {Rate{20, 90 * time.Second}, "20/1m30s"},
		"100/1h":        {Rate{100, time.Hour}, "100/1h"},
		"100/1h30m":     {Rate{100, 90 * time.Minute}, "100/1h30m"},
		"100/1h0m1s":    {Rate{100, time.Hour + time.Second}, "100/1h0m1s"},
		"100/24h":       {Rate{100, day}, "100/1d"},
		"100/36h":       {Rate{100, 36 * time.Hour}, "100/36h"},
		"100/1w":        {Rate{100, 7 * day}, "100/7d"},
		"1000000000/4w": {Rate{1e9, 28 * day}, "1000000000/28d"},
		"10/31d":        {Rate{10, 31 * day}, "10/31d"},
		"10/1500ms":     {Rate{10, 1500 * time.Millisecond}, "10/1.5s"},
		"off":           {Rate{}, "off"},
	} {
		got, err := ParseRate(text)
		if err != nil || got != want.rate || got.String() != want.string {
			t.Errorf("%q: %+v (%s), %v, want %+v (%s)", text, got, got, err, want.rate, want.string)
		}
	}
	for text, want := range map[string]error{
		"": errSyntax, "600": errSyntax, "600/": errSyntax, "/1m": errSyntax, "a/1m": errSyntax, "-1/1m": errSyntax, "+1/1m": errSyntax,
		"1.5/1m": errSyntax, "1_000/1m": errSyntax, " 1/1m": errSyntax, "1 /1m": errSyntax, "1/-1m": errSyntax, "1/+1m": errSyntax, "1/ 1m": errSyntax,
		"Off": errSyntax, "false": errSyntax, "1/m": errSyntax,
		"0/1m": errCount, "1000000001/1m": errCount, "99999999999999999999/1m": errCount,
		"1/0": errPer, "1/0s": errPer, "1/999ms": errPer, "1/31d1s": errPer, "1/1y": errPer, "1/9999999h": errPer, "1/1": errPer, "1/1m/1m": errPer,
		"1/1m ": errPer, "1/1mo": errPer, "1/" + strings.Repeat("1", 1<<16): errPer,
	} {
		if got, err := ParseRate(text); !errors.Is(err, want) || got != (Rate{}) {
			t.Errorf("%.20q: %+v, %v, want %v", text, got, err, want)
		}
	}
}

func TestRateText(t *testing.T) {
	var limits struct{ A, B *Rate }
	if err := json.Unmarshal([]byte(`{"A":"600/1m","B":"off"}`), &limits); err != nil {
		t.Fatal(err)
	}
	if text, err := json.Marshal(limits); err != nil || string(text) != `{"A":"600/1m","B":"off"}` {
		t.Errorf("%s, %v", text, err)
	}
	if err := limits.A.UnmarshalText([]byte("0/1m")); !errors.Is(err, errCount) || *limits.A != (Rate{600, time.Minute}) {
		t.Errorf("%v, %v", err, limits.A)
	}
}

func TestClampNeverMeansNoLimit(t *testing.T) {
	for in, want := range map[Rate]Rate{
		{}: {}, {0, time.Minute}: {1, time.Minute}, {-5, -5}: {1, MinPer}, {5, 0}: {5, MinPer}, {1 << 40, 1 << 62}: {MaxCount, MaxPer},
	} {
		if got := in.Clamp(); got != want {
			t.Errorf("%+v: %+v, want %+v", in, got, want)
		}
	}
}

func FuzzParseRate(f *testing.F) {
	for _, text := range []string{"600/1m", "1/1.000000001s", "off", "10/1500ms", "1000000000/31d", "1/0x1s", "100/1h0m1s"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRate(text)
		if err != nil {
			if r != (Rate{}) {
				t.Fatalf("%+v, %v", r, err)
			}
			return
		}
		if r != r.Clamp() {
			t.Fatalf("%+v is out of range", r)
		}
		if again, err := ParseRate(r.String()); err != nil || again != r {
			t.Fatalf("%s is parsed as %+v, %v", r, again, err)
		}
	})
}

// The shares of all gates together are the rate, apart from rounding, and never no limit.
func TestShare(t *testing.T) {
	for _, tc := range []struct {
		rate  Rate
		gates int
		want  Rate
	}{
		{Rate{}, 3, Rate{}},
		{Rate{600, time.Minute}, 0, Rate{600, time.Minute}},
		{Rate{600, time.Minute}, 1, Rate{600, time.Minute}},
		{Rate{600, time.Minute}, 3, Rate{200, time.Minute}},
		{Rate{5, time.Minute}, 3, Rate{1, time.Minute}},
		{Rate{2, time.Minute}, 3, Rate{1, 90 * time.Second}},
		{Rate{1, time.Second}, 10_000, Rate{1, 10_000 * time.Second}},
		{Rate{9_999, MaxPer}, 10_000, Rate{1, MaxPer}},
		{Rate{1, MaxPer}, 2, Rate{1, MaxPer}},
		{Rate{-1, time.Minute}, 2, Rate{1, 2 * time.Minute}},
	} {
		if got := tc.rate.Share(tc.gates); got != tc.want {
			t.Errorf("%s for %d gates: %s, want %s", tc.rate, tc.gates, got, tc.want)
		}
	}
}
