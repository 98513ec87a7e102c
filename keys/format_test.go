package keys

import (
	"regexp"
	"strings"
	"testing"
)

// knownTokens were made with another implementation: CRC-32 of Python's zlib, and base62 by division.
var knownTokens = []string{
	"dgk_0000000000000000000000000000002C8GjS",
	"dgk_zzzzzzzzzzzzzzzzzzzzzzzzzzzzzz4IlJEz",
	"dgk_0123456789ABCDEFGHIJKLMNOPQRST4PMbyp",
	"dgk_docsgateDocsGateDOCSGATE0123450Sf817",
	"dgk_000000000000000000000000037127000YQf", // a checksum that begins with zeros
}

func TestKnownTokens(t *testing.T) {
	for _, token := range knownTokens {
		if !Issued(token) || Mistyped(token) || Hint(token) != token[36:] || !WellFormed(token) {
			t.Errorf("%s: issued %v, mistyped %v, hint %q", token, Issued(token), Mistyped(token), Hint(token))
		}
	}
}

// Each of these is no token of the gate's; those that could be one but for the checksum are mistyped.
func TestMistyped(t *testing.T) {
	good := knownTokens[2]
	cases := map[string]struct {
		token    string
		mistyped bool
	}{
		"another random character":      {strings.Replace(good, "5", "6", 1), true},
		"another character of the sum":  {good[:39] + "q", true},
		"another case":                  {strings.Replace(good, "A", "a", 1), true},
		"two characters change places":  {strings.Replace(good, "56", "65", 1), true},
		"one character short":           {good[:39], false},
		"one character more":            {good + "0", false},
		"another prefix":                {"sgk_" + good[4:], false},
		"the prefix in capitals":        {"DGK_" + good[4:], false},
		"no prefix":                     {good[4:], false},
		"a dash":                        {strings.Replace(good, "5", "-", 1), false},
		"not ASCII":                     {strings.Replace(good, "56", "é", 1), false},
		"a key of DocsGPT's":            {"7d0c0f36-6a0e-4a5e-9a39-0d2f5f9e7f11", false},
		"nothing":                       {"", false},
		"the characters around base62":  {strings.Replace(good, "5", "/", 1), false},
		"the characters around it, too": {strings.Replace(good, "5", "{", 1), false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if Issued(tc.token) || Mistyped(tc.token) != tc.mistyped || Hint(tc.token) != "" {
				t.Errorf("%s: issued %v, mistyped %v, hint %q", tc.token, Issued(tc.token), Mistyped(tc.token), Hint(tc.token))
			}
		})
	}
}

// The tokens that are made have the form that is told to scanners, differ, and use every character in every place alike.
func TestNewToken(t *testing.T) {
	const n = 20000
	form := regexp.MustCompile(`^dgk_[0-9A-Za-z]{36}$`)
	seen := make(map[string]bool, n)
	var counts [randomLength][256]int
	for range n {
		token := NewToken()
		if !form.MatchString(token) || !Issued(token) || Hint(token) != token[len(token)-4:] {
			t.Fatalf("bad token %s", token)
		}
		if seen[token] {
			t.Fatalf("%s was made twice", token)
		}
		seen[token] = true
		for i, c := range []byte(token[len(TokenPrefix) : len(TokenPrefix)+randomLength]) {
			counts[i][c]++
		}
	}
	// Of each place the chi-squared statistic has a mean of 61 and a deviation of 11; 160 is nine deviations off. Characters
	// taken modulo 62 without dropping the rest would give over 400.
	for i := range counts {
		chi := 0.0
		for _, c := range []byte(base62) {
			d := float64(counts[i][c]) - n/62.0
			chi += d * d / (n / 62.0)
		}
		if chi > 160 {
			t.Errorf("place %d: chi-squared %.0f", i, chi)
		}
	}
}

// No text is both, either has the form, a hint is of issued tokens only, and what is mended is issued.
func FuzzFormat(f *testing.F) {
	for _, token := range knownTokens {
		f.Add(token)
		f.Add(token[:39] + "_")
		f.Add(token[:20] + "A" + token[21:])
	}
	f.Add("dgk_")
	f.Fuzz(func(t *testing.T, token string) {
		issued, mistyped := Issued(token), Mistyped(token)
		if issued && mistyped {
			t.Error("both issued and mistyped")
		}
		if form := len(token) == 40 && strings.HasPrefix(token, "dgk_") && strings.Trim(token[4:], base62) == ""; form != (issued || mistyped) {
			t.Errorf("form %v, issued %v, mistyped %v", form, issued, mistyped)
		}
		if hint := Hint(token); issued && !strings.HasSuffix(token, hint) || (len(hint) == 4) != issued || !issued && hint != "" {
			t.Errorf("hint %q", hint)
		}
		if mistyped {
			check := checksum(token[len(TokenPrefix) : len(TokenPrefix)+randomLength])
			if mended := token[:len(TokenPrefix)+randomLength] + string(check[:]); !Issued(mended) || mended == token {
				t.Errorf("%s mended to %s", token, mended)
			}
		}
	})
}
