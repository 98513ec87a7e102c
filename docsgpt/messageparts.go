package docsgpt

import (
	"slices"
	"strings"
)

// maxMessageParts is how many parts the content of a message may have.
const maxMessageParts = 100

// partType is what a part of a message of one type has beside its type. need must be there.
type partType struct {
	need string
	may  []string
}

// partTypes are the types that pass where an operator allows parts: texts, and files that are in the message itself.
var partTypes = map[string]partType{
	"text":        {need: "text"},
	"image_url":   {need: "image_url"},
	"input_image": {need: "image_url", may: []string{"detail"}},
	"file":        {need: "file"},
	"input_file":  {need: "file_data", may: []string{"filename"}},
}

// The members of parts. A file is never named by an address, which the model's server would ask in its own network, nor by
// an id ("file_id"), which is that of a file in the owner's account at the model.
var (
	detailLayout   = oneOf("auto", "low", "high")
	filenameLayout = layout{kinds: KindString, longest: 1 << 10}
	dataLayout     = layout{kinds: KindString, check: checkInline}
	addressLayout  = layout{kinds: KindString, check: checkDataURL}
	partMembers    = map[string]*layout{
		"text": {kinds: KindString},
		"image_url": {kinds: KindString | KindObject, check: checkDataURL, members: []memberLayout{
			{"url", true, addressLayout}, {"detail", false, detailLayout},
		}},
		"detail": &detailLayout,
		"file": {kinds: KindObject, members: []memberLayout{
			{"file_data", true, dataLayout}, {"filename", false, filenameLayout},
		}},
		"file_data": &dataLayout,
		"filename":  &filenameLayout,
	}
)

func checkDataURL(text string) error {
	if !strings.HasPrefix(text, "data:") {
		return fault(`must begin with "data:": other addresses are not accepted`)
	}
	return nil
}

// checkInline tests that a text is a data URL or nothing but base64.
func checkInline(text string) error {
	if !strings.HasPrefix(text, "data:") && strings.ContainsAny(text, ":%") {
		return fault(`must begin with "data:" or be base64: addresses are not accepted`)
	}
	return nil
}

// parts reads a content that is a list. Texts alone become one text, with a line feed between them, as DocsGPT itself puts
// them together for its search.
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
			return inMember(fault("is too long: at most %d parts are accepted", maxMessageParts), "content")
		case i > 0:
			r.out = append(r.out, ',')
		}
		text, err := r.part()
		if err != nil {
			return inMember(inItem(err, i), "content")
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
	return inMember(r.count(size), "content")
}

// part reads one part of a content, and tells whether it is a text. Without the operator's word only texts pass, with
// nothing beside them.
func (r *messageReader) part() (text bool, err error) {
	var kind string
	var seen []string
	r.out = append(r.out, '{')
	begin := len(r.out)
	err = r.p.each(func(name []byte) error {
		inner := partMembers[string(name)]
		isType := string(name) == "type"
		switch {
		case !r.member.Parts && !isType && string(name) != "text":
			return errMessageParts
		case isType:
			inner = &layout{kinds: KindString}
		case inner == nil:
			r.changed = true
			return r.p.decoder.SkipValue()
		}
		if len(r.out) > begin {
			r.out = append(r.out, ',')
		}
		r.out = append(append(append(r.out, '"'), name...), '"', ':')
		at := len(r.out)
		if err := r.value(inner); err != nil {
			if !r.member.Parts {
				return plainParts(err)
			}
			return inMember(err, string(name))
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
	if !r.member.Parts {
		if kind != "text" || len(seen) != 1 {
			return false, errMessageParts
		}
		return true, nil
	}
	if !ok {
		return false, fault("has a type that is not accepted")
	}
	if !slices.Contains(seen, known.need) {
		return false, inMember(fault("is missing"), known.need)
	}
	for _, name := range seen {
		if name != known.need && !slices.Contains(known.may, name) {
			return false, inMember(fault("is not accepted in a part of the type %q", kind), name)
		}
	}
	return kind == "text", nil
}

// plainParts says of a part that is no text what is said of all of them.
func plainParts(err error) error {
	if _, ok := err.(*nestedError); ok { //nolint:errorlint // made just now
		return errMessageParts
	}
	return err
}
