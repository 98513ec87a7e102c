package docsgpt

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// BenchmarkParse parses and checks bodies as widgets send them, with a history of 1 MB in different scripts: how dense
// escapes and characters of several bytes are decides the speed.
func BenchmarkParse(b *testing.B) {
	e := *endpoint(b, "", "stream")
	e.limits = &Limits{HistoryEntries: 100_000, HistorySize: 4 << 20, TextSize: 4 << 20}
	for _, c := range []struct{ name, text string }{
		{"English", "Open the file *settings*, go to the section named below,\nand set it there. "},
		{"German", "Öffnen Sie die Datei »Einstellungen«, gehen Sie zum Abschnitt darüber,\nund ändern Sie den Wert. "},
		{"Chinese", "打开文件设置，转到下面命名的部分，\n并在那里设置它。"},
		{"code", "for i := range x {\n\tfmt.Println(\"a\", i)\n\tif y {\n\t\treturn\n\t}\n}\n"},
	} {
		b.Run(c.name, func(b *testing.B) {
			sent := []byte(`{"question":"How?","history":` + inText(conversation(1<<20, c.text)) + `,"api_key":"token"}`)
			b.SetBytes(int64(len(sent)))
			b.ReportAllocs()
			var body Body
			for b.Loop() { // neither changes a body of which nothing is dropped
				if err := body.Parse(&e, sent); err != nil {
					b.Fatal(err)
				}
				if err := body.Check(&e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// conversation returns a history of size bytes at least.
func conversation(size int, text string) string {
	type turn struct {
		Prompt   string `json:"prompt"`
		Response string `json:"response"`
	}
	var turns []turn
	for n := 0; n < size; {
		t := turn{fmt.Sprintf("How do I set \"option %d\" in the configuration?", len(turns)), strings.Repeat(text, 6)}
		n += len(t.Prompt) + len(t.Response)
		turns = append(turns, t)
	}
	history, err := json.Marshal(turns)
	if err != nil {
		panic(err) // strings
	}
	return string(history)
}
