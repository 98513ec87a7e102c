package doctor

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// widget holds the settings of the widgets on a page.
type widget struct {
	hosts, keys []string // distinct values of apiHost and apiKey
	scripts     []string // distinct script URLs, unresolved
	mentioned   bool     // the page contains the name of a widget
}

func (w *widget) found() bool { return w.mentioned || len(w.hosts) > 0 || len(w.keys) > 0 }

// settingValue matches the value after the name of a setting; \x60 is a backquote.
const settingValue = `["']?\s*[:=]\s*\{?\s*["'\x60]([^"'\x60\s]{1,500})["'\x60]`

// Settings in scripts: apiHost: "...", "apiHost": '...', apiHost=`...`, and in JSX apiHost={"..."}. They do not match the defaults in
// the code of the widget package.
var (
	hostSetting = regexp.MustCompile(`(?i)\bapi_?-?host` + settingValue)
	keySetting  = regexp.MustCompile(`(?i)\bapi_?-?key` + settingValue)
	widgetName  = regexp.MustCompile(`DocsGPTWidget|renderSearchBar|docsgpt-widget`)
)

// findWidget parses a page.
func findWidget(page []byte) *widget {
	w := new(widget)
	z := html.NewTokenizer(bytes.NewReader(page))
	inScript := false
	for {
		switch z.Next() {
		case html.ErrorToken:
			return w
		case html.TextToken:
			if inScript {
				w.readScript(z.Raw())
			}
		case html.EndTagToken:
			inScript = false
		case html.StartTagToken, html.SelfClosingTagToken:
			token := z.Token()
			inScript = token.Data == "script"
			w.readTag(token)
		default:
		}
	}
}

func (w *widget) readTag(token html.Token) {
	if strings.Contains(token.Data, "docsgpt") {
		w.mentioned = true
	}
	for _, a := range token.Attr {
		value := strings.TrimSpace(a.Val)
		switch strings.NewReplacer("-", "", "_", "").Replace(strings.TrimPrefix(strings.ToLower(a.Key), "data-")) {
		case "apihost":
			w.hosts = appendUnique(w.hosts, value)
		case "apikey":
			w.keys = appendUnique(w.keys, value)
		case "src":
			if token.Data == "script" {
				w.scripts = appendUnique(w.scripts, value)
			}
		}
	}
}

func (w *widget) readScript(text []byte) {
	w.mentioned = w.mentioned || widgetName.Match(text)
	for _, m := range hostSetting.FindAllSubmatch(text, -1) {
		w.hosts = appendUnique(w.hosts, string(m[1]))
	}
	for _, m := range keySetting.FindAllSubmatchIndex(text, -1) {
		around := text[max(0, m[0]-nearby):min(len(text), m[1]+nearby)]
		if hostSetting.Match(around) || widgetName.Match(around) { // other libraries also have an apiKey
			w.keys = appendUnique(w.keys, string(text[m[2]:m[3]]))
		}
	}
}

// nearby is the maximum distance in bytes between an apiKey and the widget's name or apiHost.
const nearby = 500

func appendUnique(list []string, value string) []string {
	if value == "" || slices.Contains(list, value) {
		return list
	}
	return append(list, value)
}
