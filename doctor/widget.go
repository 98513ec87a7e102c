package doctor

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// widget is what a page says about the widgets on it.
type widget struct {
	hosts, keys []string // what is set as apiHost and apiKey, each once
	scripts     []string // addresses of scripts, as they stand there
	named       bool     // the page names a widget
}

func (w *widget) found() bool { return w.named || len(w.hosts) > 0 || len(w.keys) > 0 }

// settingValue is what follows the name of a setting; \x60 is a backquote.
const settingValue = `["']?\s*[:=]\s*\{?\s*["'\x60]([^"'\x60\s]{1,500})["'\x60]`

// A setting in a script: apiHost: "...", "apiHost": '...', apiHost=`...`, and in JSX apiHost={"..."}. The defaults inside of
// a widget's package look otherwise.
var (
	hostSetting = regexp.MustCompile(`(?i)\bapi_?-?host` + settingValue)
	keySetting  = regexp.MustCompile(`(?i)\bapi_?-?key` + settingValue)
	widgetName  = regexp.MustCompile(`DocsGPTWidget|renderSearchBar|docsgpt-widget`)
)

// findWidget reads a page.
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
		w.named = true
	}
	for _, a := range token.Attr {
		value := strings.TrimSpace(a.Val)
		switch strings.NewReplacer("-", "", "_", "").Replace(strings.TrimPrefix(strings.ToLower(a.Key), "data-")) {
		case "apihost":
			w.hosts = once(w.hosts, value)
		case "apikey":
			w.keys = once(w.keys, value)
		case "src":
			if token.Data == "script" {
				w.scripts = once(w.scripts, value)
			}
		}
	}
}

func (w *widget) readScript(text []byte) {
	w.named = w.named || widgetName.Match(text)
	for _, m := range hostSetting.FindAllSubmatch(text, -1) {
		w.hosts = once(w.hosts, string(m[1]))
	}
	for _, m := range keySetting.FindAllSubmatchIndex(text, -1) {
		around := text[max(0, m[0]-nearby):min(len(text), m[1]+nearby)]
		if hostSetting.Match(around) || widgetName.Match(around) { // other libraries have an apiKey too
			w.keys = once(w.keys, string(text[m[2]:m[3]]))
		}
	}
}

// nearby is how far a widget's name or apiHost may be from its apiKey, in bytes.
const nearby = 500

func once(list []string, value string) []string {
	if value == "" || slices.Contains(list, value) {
		return list
	}
	return append(list, value)
}
