package upstream

import (
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	for in, want := range map[string]struct{ url, socket string }{
		"localhost:7091":                      {"http://localhost:7091", ""},
		"docsgpt:80":                          {"http://docsgpt:80", ""},
		"192.0.2.7:7091":                      {"http://192.0.2.7:7091", ""},
		"[::1]:7091":                          {"http://[::1]:7091", ""},
		"http://docs.example":                 {"http://docs.example", ""},
		"http://docs.example:7091":            {"http://docs.example:7091", ""},
		"http://docs.example/":                {"http://docs.example", ""},
		"https://docs.example":                {"https://docs.example", ""},
		"https://docs.example/docsgpt":        {"https://docs.example/docsgpt", ""},
		"https://docs.example:8443/docsgpt//": {"https://docs.example:8443/docsgpt", ""},
		"HTTPS://docs.example":                {"https://docs.example", ""},
		"unix//run/docsgpt.sock":              {"http://localhost", "/run/docsgpt.sock"},
	} {
		t.Run(in, func(t *testing.T) {
			got, err := ParseAddress(in)
			if err != nil {
				t.Fatal(err)
			}
			if got.URL.String() != want.url || got.Socket != want.socket {
				t.Errorf("got %s and socket %q, want %s and %q", got.URL, got.Socket, want.url, want.socket)
			}
		})
	}
}

func TestParseAddressErrors(t *testing.T) {
	for in, want := range map[string]string{
		"":                          "host:port",
		"localhost":                 "host:port",
		"localhost:":                "host:port",
		"::1:7091":                  "host:port",
		":7091":                     "host is missing",
		"http://":                   "host is missing",
		"http://:7091":              "host is missing",
		"http:///docsgpt":           "host is missing",
		"localhost:http":            "not a valid URL",
		"http://[::1":               "not a valid URL",
		"http://docs example":       "not a valid URL",
		"http://docs.example:70:91": "not a valid URL",
		"ftp://docs.example":        "scheme",
		"unix://run/docsgpt.sock":   "unix//path/of/socket",
		"unix/run/docsgpt.sock":     "unix//path/of/socket",
		"unix/":                     "unix//path/of/socket",
		"http://docs.example?a=b":   "query or fragment",
		"http://docs.example/?":     "query or fragment",
		"http://docs.example/#x":    "query or fragment",
	} {
		t.Run(in, func(t *testing.T) {
			if got, err := ParseAddress(in); err == nil {
				t.Errorf("it is taken for %s and socket %q", got.URL, got.Socket)
			} else if !strings.Contains(err.Error(), want) {
				t.Errorf("got %q, which does not say %q", err, want)
			}
		})
	}
}

func TestParseAddressHidesCredentials(t *testing.T) {
	const secret = "s3cr3t"
	for name, in := range map[string]string{
		"password":                      "http://user:s3cr3t@docs.example:7091",
		"user":                          "https://s3cr3t@docs.example",
		"without a scheme":              "user:s3cr3t@docs.example:7091",
		"user without a scheme":         "s3cr3t@docs.example:7091",
		"neither scheme nor port":       "user:s3cr3t@docs.example",
		"wrong scheme":                  "ftp://user:s3cr3t@docs.example",
		"bad port":                      "http://user:s3cr3t@docs.example:x",
		"slash in the password":         "http://user:s3cr3t/x@docs.example",
		"question mark in the password": "http://user:s3cr3t?x@docs.example",
		"number sign in the password":   "http://user:s3cr3t#x@docs.example",
		"bad escape in the password":    "http://user:%s3cr3t@docs.example",
		"scheme mistyped":               "http:/user:s3cr3t@docs.example:80",
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := ParseAddress(in); err == nil {
				t.Errorf("it is taken for %s", got.URL)
			} else if strings.Contains(err.Error(), secret) {
				t.Errorf("the error shows it: %v", err)
			}
		})
	}
}
