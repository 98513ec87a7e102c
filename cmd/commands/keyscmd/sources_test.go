package keyscmd

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/cmd/commands/internal/cmdtest"
)

func TestSources(t *testing.T) {
	address := cmdtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/v1/sources"):
			_, _ = io.WriteString(w, `{"sources":[{"id":"s1","name":"Handbook"},{"id":"s2","name":"Line\nend"}]}`)
		case r.URL.Query().Get("source") == "s1":
			fmt.Fprint(w, `{"keys":[{"id":"k"}],"total":1234}`)
		default:
			fmt.Fprint(w, `{"keys":[],"total":0}`)
		}
	})
	for format, want := range map[string]string{
		"":       "ID  NAME             KEYS\ns1  Handbook         1,234\ns2  Line<U+000A>end  0\n",
		"--json": `{"id":"s1","name":"Handbook","keys":1234}` + "\n" + `{"id":"s2","name":"Line\nend","keys":0}` + "\n",
	} {
		cmd := sourcesCommand()
		var out strings.Builder
		cmd.SetArgs(strings.Fields("--address " + address + " " + format))
		cmd.SetOut(&out)
		if err := cmd.ExecuteContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Errorf("%s\n%s\nwant\n%s", format, out.String(), want)
		}
	}
}
