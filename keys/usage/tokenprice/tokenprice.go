// Package tokenprice computes what the tokens of a model cost.
package tokenprice

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Price is what a million tokens cost, of prompts and completions alike. The zero value is unknown.
type Price struct {
	// The amount, greater than 0 and at most a million.
	Amount float64 `json:"amount"`
	// The code of the currency, three capital letters, such as EUR.
	Currency string `json:"currency"`
}

const (
	unit      = 1e6 // tokens
	maxAmount = 1e6
)

var (
	errAmount   = errors.New("the price of a million tokens must be a number greater than 0 and at most 1000000, such as 0.60")
	errCurrency = errors.New("the currency must be a code of three capital letters, such as EUR")
)

// Parse parses an amount and a currency.
func Parse(amount, currency string) (Price, error) {
	if strings.Trim(amount, "0123456789.") != "" { // ParseFloat accepts more, such as 1e3 and 0x1p4
		return Price{}, errAmount
	}
	n, err := strconv.ParseFloat(amount, 64)
	if err != nil {
		return Price{}, errAmount
	}
	p := Price{n, currency}
	return p, p.Validate()
}

// Validate returns an error unless the price is known and valid.
func (p Price) Validate() error {
	if !(p.Amount > 0 && p.Amount <= maxAmount) { // not a number is neither
		return errAmount
	}
	if len(p.Currency) != len("EUR") || strings.Trim(p.Currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return errCurrency
	}
	return nil
}

// IsZero reports whether the price is unknown.
func (p Price) IsZero() bool { return p == Price{} }

// Of returns the amount for a number of tokens, rounded to a millionth.
func (p Price) Of(tokens uint64) float64 {
	return math.Round(float64(tokens)*p.Amount/unit*1e6) / 1e6
}

// Format returns an amount with its currency: with two decimals, or two digits if it is less than 0.1.
func Format(amount float64, currency string) string {
	if amount > 0 && amount < 0.1 {
		text := strconv.FormatFloat(amount, 'g', 2, 64)
		if !strings.Contains(text, "e") {
			return text + " " + currency
		}
		return strconv.FormatFloat(amount, 'f', 6, 64) + " " + currency
	}
	return strconv.FormatFloat(amount, 'f', 2, 64) + " " + currency
}
