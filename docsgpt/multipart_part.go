package docsgpt

import (
	"mime"
	"net/textproto"
	"strings"
	"unicode"
	"unicode/utf8"
)

// disposition describes a part of a form: a field or a file.
type disposition struct {
	name, filename string
	isFile         bool
}

// partDisposition parses the headers of a part. It accepts what browsers, curl and common libraries write, and rejects
// what one parser reads as a field and another as a file, or as a field of another name. There must be one
// Content-Disposition of the type form-data, with one name and at most one filename, no transfer encoding and no nested
// form. A filename* next to a filename is ignored.
func partDisposition(h textproto.MIMEHeader) (disposition, error) {
	d := disposition{}
	if len(h["Content-Disposition"]) != 1 || len(h["Content-Type"]) > 1 || !isIdentityTransfer(h["Content-Transfer-Encoding"]) {
		return d, errPart
	}
	for _, values := range h {
		for _, value := range values {
			if !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
				return d, errPart
			}
		}
	}
	if strings.HasPrefix(strings.ToLower(h.Get("Content-Type")), "multipart/") {
		return d, errPart
	}
	kind, rest, _ := strings.Cut(h.Get("Content-Disposition"), ";")
	if !strings.EqualFold(strings.Trim(kind, " "), "form-data") {
		return d, errPart
	}
	var seen [3]bool
	for more := true; more; {
		var name, value string
		var ok bool
		if name, value, rest, more, ok = cutParameter(rest); !ok {
			return d, errPart
		}
		which := 0
		switch name {
		case "name":
			d.name = value
		case "filename":
			which, d.filename, d.isFile = 1, value, true
		case "filename*":
			which = 2
		default:
			return d, errPart
		}
		if seen[which] {
			return d, errPart
		}
		seen[which] = true
	}
	if !seen[0] || d.name == "" || strings.ContainsAny(d.name, `"\`) || seen[2] && !d.isFile {
		return d, errPart
	}
	return d, nil
}

// isIdentityTransfer reports whether a Content-Transfer-Encoding keeps the bytes unchanged. DocsGPT ignores the header.
func isIdentityTransfer(values []string) bool {
	if len(values) == 0 {
		return true
	}
	switch strings.ToLower(values[0]) {
	case "binary", "8bit", "7bit":
		return len(values) == 1
	default:
		return false
	}
}

// cutParameter parses one parameter of a header and its separator. more reports whether another parameter follows.
func cutParameter(s string) (name, value, rest string, more, ok bool) {
	name, s, found := strings.Cut(strings.TrimLeft(s, " "), "=")
	name = strings.ToLower(name)
	if !found || !isToken(name) {
		return "", "", "", false, false
	}
	if quoted, is := strings.CutPrefix(s, `"`); is {
		if value, s, ok = cutQuoted(quoted); !ok {
			return "", "", "", false, false
		}
	} else {
		end := strings.IndexAny(s, "; ")
		if end < 0 {
			end = len(s)
		}
		if value, s = s[:end], s[end:]; !isToken(value) {
			return "", "", "", false, false
		}
	}
	s = strings.TrimLeft(s, " ")
	if s == "" {
		return name, value, "", false, true
	}
	rest, more = strings.CutPrefix(s, ";")
	return name, value, rest, more, more
}

// cutQuoted parses a quoted text up to its closing quote. A backslash escapes a quote or a backslash; before any other
// character it is literal, as in the paths that old browsers send.
func cutQuoted(s string) (value, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:], true
		case s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
			i++
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

func isToken(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?={}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// plainText reports whether a field's Content-Type, if any, is text in UTF-8.
func plainText(h textproto.MIMEHeader) bool {
	value := h.Get("Content-Type")
	if value == "" {
		return true
	}
	media, params, err := mime.ParseMediaType(value)
	if err != nil || media != "text/plain" || strings.Contains(value, "*") {
		return false
	}
	for name, charset := range params {
		if name != "charset" || !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "us-ascii") {
			return false
		}
	}
	return true
}

// defaultMediaType is the type of a file whose type is not known.
const defaultMediaType = "application/octet-stream"

// fileType returns the media type of a file, without parameters.
func fileType(h textproto.MIMEHeader) string {
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	kind, sub, found := strings.Cut(media, "/")
	if err != nil || !found || len(media) > 127 || !isToken(kind) || !isToken(sub) {
		return defaultMediaType
	}
	return media
}

// maxFilename is the longest file name that file systems accept, in bytes.
const maxFilename = 255

// safeFilename returns the last element of a client's filename, with all characters replaced that need quoting or
// escaping in a header or a path. ok is false if the result is empty or too long.
func safeFilename(name string) (safe string, ok bool) {
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	name = strings.ReplaceAll(name, "%22", "_") // the encoding of a quote in the headers of forms
	name = strings.Map(func(c rune) rune {
		if c == '"' || unicode.IsControl(c) || unicode.Is(unicode.Cf, c) || c == '\u2028' || c == '\u2029' {
			return '_'
		}
		return c
	}, name)
	return name, strings.Trim(name, ". ") != "" && len(name) <= maxFilename
}
