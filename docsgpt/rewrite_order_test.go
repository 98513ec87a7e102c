package docsgpt

import (
	"strings"
	"testing"
)

// The forwarded body is built in the buffer around its longest value, wherever that is, and keeps the order of the fields.
func TestRewriteKeepsOrder(t *testing.T) {
	e := endpoint(t, "", "stream", "chunks")
	long := strings.Repeat("text ", 40)
	fields := []string{
		`"question":"` + long + `"`, `"history":"[{\"prompt\":\"` + long + `\",\"response\":\"r\"}]"`, `"conversation_id":"c"`,
		`"chunks":2`, `"api_key":"` + long + `"`, `"dropped":[1]`, `"que\u0073tion":"q"`,
	}
	// All sequences of four of them, in which no field is specified twice.
	for i := range 7 * 7 * 7 * 7 {
		var sent, want []string
		names := map[string]bool{}
		for n, k := i, 0; k < 4; n, k = n/7, k+1 {
			f := fields[n%7]
			name := strings.ReplaceAll(f[:strings.Index(f, ":")], `\u0073`, "s")
			if names[name] {
				break
			}
			names[name] = true
			sent = append(sent, f)
			if name != `"api_key"` && name != `"dropped"` {
				want = append(want, strings.ReplaceAll(f, `\u0073`, "s"))
			}
		}
		if len(sent) < 4 || !names[`"question"`] {
			continue
		}
		if !names[`"history"`] && e.defaultHistory != "" {
			want = append(want, `"history":`+e.defaultHistory)
		}
		want = append(want, `"api_key":"agent"`)
		for _, glue := range []string{",", " ,\n"} {
			body := buffer("{" + strings.Join(sent, glue) + "}")
			var b Body
			if err := b.Parse(e, body); err != nil {
				t.Fatal(err)
			}
			if err := b.Check(e); err != nil {
				t.Fatal(err)
			}
			if got := string(b.Rewrite(e, Binding{Agent: "agent"}, true)); got != "{"+strings.Join(want, ",")+"}" {
				t.Fatalf("%q became\n%s, want\n%s", sent, got, want)
			}
		}
	}
}
