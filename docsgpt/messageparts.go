package docsgpt

import (
	"slices"
	"strings"
)

// maxMessageParts is the largest number of parts of a message's content.
const maxMessageParts = 100

// partType lists the fields, besides "type", of one type of message part: need is required, may are optional.
type partType struct {
	need string
	may  []string
}

// partTypes are the types that are forwarded if an operator allows parts: texts, and files inside the message itself.
var partTypes = map[string]partType{
	"text":        {need: "text"},
	"image_url":   {need: "image_url"},
	"input_image": {need: "image_url", may: []string{"detail"}},
	"file":        {need: "file"},
	"input_file":  {need: "file_data", may: []string{"filename"}},
}

// The fields of parts. A file cannot be a URL, which the model's server would fetch from inside its network, nor a
// "file_id", which refers to a file in the owner's account at the model provider.
var (
	detailLayout   = oneOf("auto", "low", "high")
	filenameLayout = layout{kinds: KindString, longest: 1 << 10}
	dataLayout     = layout{kinds: KindString, check: checkInline}
	addressLayout  = layout{kinds: KindString, check: checkDataURL}
	partFields     = map[string]*layout{
		"text": {kinds: KindString},
		"image_url": {kinds: KindString | KindObject, check: checkDataURL, fields: []fieldLayout{
			{"url", true, addressLayout}, {"detail", false, detailLayout},
		}},
		"detail": &detailLayout,
		"file": {kinds: KindObject, fields: []fieldLayout{
			{"file_data", true, dataLayout}, {"filename", false, filenameLayout},
		}},
		"file_data": &dataLayout,
		"filename":  &filenameLayout,
	}
)

func checkDataURL(text string) error {
	if !strings.HasPrefix(text, "data:") {
		return fault(`must begin with "data:": other URLs are not accepted`)
	}
	return nil
}

// checkInline returns an error unless the text is a data URL or base64.
func checkInline(text string) error {
	if !strings.HasPrefix(text, "data:") && strings.ContainsAny(text, ":%") {
		return fault(`must begin with "data:" or be base64: URLs are not accepted`)
	}
	return nil
}

// parts reads a content that is a list. If all parts are texts, they become one text, joined by line feeds as DocsGPT
// itself joins them for its search.
func (r *messageReader) parts() error {
	p := r.p
	if err := p.bracket(); err != nil {
		return err
	}
	begin, others := len(r.out), false
	p.texts = p.texts[:0]
	r.out = append(r.out, '[')
	for i := 0; p.decoder.PeekKind() != ']'; i++ {
		switch kind := p.decoder.PeekKind(); {
		case kind != '{' && kind != 0:
			return errMessageParts
		case i == maxMessageParts:
			return inField(fault("is too long: at most %d parts are accepted", maxMessageParts), "content")
		case i > 0:
			r.out = append(r.out, ',')
		}
		text, err := r.part()
		if err != nil {
			return inField(inItem(err, i), "content")
		}
		others = others || !text
	}
	if err := p.bracket(); err != nil {
		return err
	}
	size := 0
	for _, text := range p.texts {
		size += text.end - text.start
	}
	if others {
		r.out = append(r.out, ']')
	} else {
		r.changed = true
		r.out = append(r.out[:begin], '"')
		for i, text := range p.texts {
			if i > 0 {
				r.out = append(r.out, '\\', 'n')
			}
			r.out = append(r.out, p.text[text.start:text.end]...)
		}
		r.out = append(r.out, '"')
	}
	return inField(r.count(size), "content")
}

// part reads one part of a content, and reports whether it is a text. Unless the operator allows parts, only texts are
// accepted, without the fields of other types. Fields that no type has, such as "cache_control", are dropped.
func (r *messageReader) part() (text bool, err error) {
	var kind string
	var seen []string
	r.out = append(r.out, '{')
	begin := len(r.out)
	err = r.p.each(func(name []byte) error {
		inner := partFields[string(name)]
		isType := string(name) == "type"
		switch {
		case isType:
			inner = &layout{kinds: KindString}
		case inner == nil:
			r.changed = true
			return r.p.decoder.SkipValue()
		case !r.spec.Parts && string(name) != "text":
			return errMessageParts
		}
		if len(r.out) > begin {
			r.out = append(r.out, ',')
		}
		r.out = append(append(append(r.out, '"'), name...), '"', ':')
		at := len(r.out)
		if err := r.value(inner); err != nil {
			if !r.spec.Parts {
				return plainParts(err)
			}
			return inField(err, string(name))
		}
		switch end := int(r.p.decoder.InputOffset()); string(name) {
		case "type":
			raw, err := unquote(r.out[at:])
			kind = string(raw)
			return err
		case "text":
			r.p.texts = append(r.p.texts, span{end - (len(r.out) - at) + 1, end - 1})
		}
		seen = append(seen, string(name))
		return nil
	})
	r.out = append(r.out, '}')
	if err != nil {
		return false, err
	}
	known, ok := partTypes[kind]
	if !r.spec.Parts {
		if kind != "text" || len(seen) != 1 {
			return false, errMessageParts
		}
		return true, nil
	}
	if !ok {
		return false, fault("has a type that is not accepted")
	}
	if !slices.Contains(seen, known.need) {
		return false, inField(fault("is missing"), known.need)
	}
	for _, name := range seen {
		if name != known.need && !slices.Contains(known.may, name) {
			return false, inField(fault("is not accepted in a part of the type %q", kind), name)
		}
	}
	return kind == "text", nil
}

// plainParts replaces an error about the details of a part that is not text by the error that only text is accepted.
func plainParts(err error) error {
	if _, ok := err.(*nestedError); ok { //nolint:errorlint // created just now, not wrapped
		return errMessageParts
	}
	return err
}
