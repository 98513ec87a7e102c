package importer_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/keys/importer"
)

// Each of these inputs takes very long if the running time is not linear. The places of the last items show that the whole
// input was parsed.
func TestParseTakesLinearTime(t *testing.T) {
	const count = 50_000
	var lines, sources, columns strings.Builder
	sources.WriteString(`[{"_id":"` + oidA + `","key":"` + keyA + `","sources":["x"`)
	columns.WriteString("id,source_id,key")
	for n := range count {
		fmt.Fprintf(&lines, `{"_id":{"$oid":"%024x"},"key":"key-%d","source":"%s","agent_type":"classic"}`+"\n", n, n, strings.Repeat("s", 200))
		fmt.Fprintf(&sources, `,"source-%d"`, n)
		fmt.Fprintf(&columns, ",%d", n)
	}
	sources.WriteString("]}]")
	columns.WriteString("\n1,x," + keyA + strings.Repeat(",", count) + "\n")
	for _, c := range []struct {
		name, in, place string
		items           int
	}{
		{"many lines", lines.String(), fmt.Sprintf("line %d", count), count},
		{"many sources", sources.String(), "item 1", 1},
		{"many columns", columns.String(), "line 2", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := importer.Parse(strings.NewReader(c.in), "", importer.Options{})
			if err != nil || len(r.Items) != c.items || r.Items[c.items-1].Location != c.place {
				t.Fatalf("%+v, %v", r, err)
			}
		})
	}
}

func TestParseRejectsTooManyRows(t *testing.T) {
	for name, in := range map[string]string{
		"a list":         "[{}" + strings.Repeat(",{}", 500_000) + "]",
		"lines of a CSV": "id,key\n" + strings.Repeat("1,2\n", 500_001),
	} {
		t.Run(name, func(t *testing.T) {
			r, err := importer.Parse(strings.NewReader(in), importer.PostgresAgents, importer.Options{})
			if r != nil || err == nil || !strings.Contains(err.Error(), "more than 500,000") {
				t.Fatalf("%v, %v", r, err)
			}
		})
	}
}

func TestNumberOfFaultsIsLimited(t *testing.T) {
	_, err := importer.Parse(strings.NewReader(strings.Repeat("{}\n", 100_000)), importer.PostgresAgents, importer.Options{})
	if err == nil || strings.Count(err.Error(), "\n") != 100 || !strings.HasSuffix(err.Error(), "fix these faults first") {
		t.Errorf("%.200v", err)
	}
}
