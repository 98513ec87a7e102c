package keyscmd

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// A truncated response is not exported as a complete key file.
func TestExportTruncatedResponse(t *testing.T) {
	const whole = `{"keys":[{"id":"a"},{"id":"b","x":[1,{"y":2}]}],"skipped":["c","d"],"more":{}}`
	for i := range len(whole) + 1 {
		g := dial(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, whole[:i]) })
		var out strings.Builder
		left, err := g.export(t.Context(), &out)
		if (err == nil) != (i == len(whole)) {
			t.Errorf("%d bytes: %v", i, err)
		}
		if err == nil && (out.String() != "{\"keys\": [\n{\"id\":\"a\"},\n{\"id\":\"b\",\"x\":[1,{\"y\":2}]}\n]}\n" || left.keys != 2 ||
			fmt.Sprint(left.skipped) != "[c d]") {
			t.Errorf("%q %+v", out.String(), left)
		}
	}
	for _, none := range []string{`[]`, `"keys"`, `{}`, `{"keys":{}}`, `{"keys":1}`} {
		g := dial(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, none) })
		if _, err := g.export(context.Background(), io.Discard); err == nil {
			t.Errorf("%s is a list of keys", none)
		}
	}
}
