package tokenprice

import "testing"

func TestParse(t *testing.T) {
	for text, want := range map[[2]string]Price{
		{"0.60", "EUR"}: {0.6, "EUR"}, {"15", "USD"}: {15, "USD"}, {".5", "CHF"}: {0.5, "CHF"}, {"1000000", "JPY"}: {1e6, "JPY"},
	} {
		if got, err := Parse(text[0], text[1]); err != nil || got != want {
			t.Errorf("%v: got %v, %v", text, got, err)
		}
	}
	for _, text := range [][2]string{
		{"", "EUR"},
		{"0", "EUR"},
		{"-1", "EUR"},
		{"1e3", "EUR"},
		{"0x1", "EUR"},
		{"NaN", "EUR"},
		{"Inf", "EUR"},
		{"1,5", "EUR"},
		{"1.2.3", "EUR"},
		{"1000001", "EUR"},
		{"1", ""},
		{"1", "eur"},
		{"1", "€"},
		{"1", "EURO"},
		{"1", "E1R"},
		{"EUR", "1"},
	} {
		if got, err := Parse(text[0], text[1]); err == nil {
			t.Errorf("%v: no error, got %v", text, got)
		}
	}
}

func TestOf(t *testing.T) {
	p := Price{0.6, "EUR"}
	for tokens, want := range map[uint64]float64{0: 0, 1: 0.000001, 1000: 0.0006, 2_500_000: 1.5} {
		if got := p.Of(tokens); got != want {
			t.Errorf("%d tokens: got %v, want %v", tokens, got, want)
		}
	}
}

func TestFormat(t *testing.T) {
	for amount, want := range map[float64]string{
		0: "0.00 EUR", 1.5: "1.50 EUR", 0.1: "0.10 EUR", 0.0312: "0.031 EUR", 0.0006: "0.0006 EUR", 0.000001: "0.000001 EUR",
		12345.678: "12345.68 EUR",
	} {
		if got := Format(amount, "EUR"); got != want {
			t.Errorf("%v: got %q, want %q", amount, got, want)
		}
	}
}
