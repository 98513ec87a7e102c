package docsgpt

import (
	"slices"
	"testing"
)

func TestReadSources(t *testing.T) {
	tests := map[string]struct {
		body string
		want []Source
		fail bool
	}{
		"as 1.1 answers": {
			`[{"access":"owner","config":{"id":"not this","kind":"classic"},"id":"17ad69e0-b2fc-48ed-af93-42b3fe820758","name":"beta"},
			  {"id":"a23ab4b1-00cf-4bce-8731-8fbee2a50a39","name":"al\u0070ha","tokens":"51"}]`,
			[]Source{
				{"17ad69e0-b2fc-48ed-af93-42b3fe820758", "beta"}, {"a23ab4b1-00cf-4bce-8731-8fbee2a50a39", "alpha"},
			},
			false,
		},
		"the built-in one has no id": {`[{"name":"Default","date":"default"},{"id":"b","name":"n"}]`, []Source{{"b", "n"}}, false},
		"none":                       {`[]`, nil, false},
		"a source without a name":    {`[{"id":"b"}]`, []Source{{"b", ""}}, false},
		"an error":                   {`{"success":false}`, nil, true},
		"a page":                     {`<!doctype html>`, nil, true},
		"cut off":                    {`[{"id":"b"}`, nil, true},
		"an odd entry":               {`[{"id":"b"},7]`, nil, true},
		"nothing":                    {``, nil, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ReadSources([]byte(test.body))
			if (err != nil) != test.fail || !slices.Equal(got, test.want) {
				t.Errorf("%v, %v; want %v, error %t", got, err, test.want, test.fail)
			}
		})
	}
}
