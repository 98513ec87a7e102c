package docsgpt

import (
	"slices"
	"strings"
)

// layout is the schema of a structured value. Fields of objects that it does not list are dropped, like those of the
// body.
type layout struct {
	kinds   Kinds
	fields  []fieldLayout           // of an object; other fields are dropped
	every   *layout                 // of an object with arbitrary names: the layout of each value
	items   *layout                 // of a list: the layout of each item
	free    bool                    // an object or list may contain anything
	names   func(name string) error // of an object with every: checks each name; nil: any name
	most    int                     // items of a list, members of an object with every; 0: as many as there are
	longest int                     // most bytes of a string; 0: unlimited
	values  []string                // allowed values of a string; nil: any
	check   func(text string) error
}

type fieldLayout struct {
	name     string
	required bool
	layout
}

func kindLayout(kinds Kinds) layout { return layout{kinds: kinds} }

func oneOf(values ...string) layout { return layout{kinds: KindString, values: values} }

const (
	textOrNull = KindString | KindNull
	boolOrNull = KindBool | KindNull
	anyScalar  = KindString | KindNumber | KindBool | KindNull
)

// freeObject is an object that DocsGPT or the model reads as a JSON schema.
var freeObject = layout{kinds: KindObject | KindNull, free: true}

var toolLayout = layout{kinds: KindObject, fields: []fieldLayout{
	{"type", true, oneOf("function")},
	{"function", true, layout{kinds: KindObject, fields: []fieldLayout{
		{"name", true, layout{kinds: KindString, longest: 256}},
		{"description", false, kindLayout(textOrNull)},
		{"parameters", false, freeObject},
		{"strict", false, kindLayout(boolOrNull)},
	}}},
}}

// callsLayout is the layout of the field "tool_calls" of a message.
var callsLayout = layout{kinds: KindArray | KindNull, most: 128, items: &layout{kinds: KindObject, fields: []fieldLayout{
	{"id", false, layout{kinds: KindString, longest: 256}},
	{"type", false, oneOf("function")},
	{"index", false, kindLayout(KindNumber)},
	{"function", false, layout{kinds: KindObject, fields: []fieldLayout{
		{"name", false, layout{kinds: KindString, longest: 256}},
		{"arguments", false, kindLayout(KindString)}, // JSON text that only the model reads
	}}},
}}}

// structures maps the names of fields to their layouts: of fields that are always forwarded, and of those that an
// operator may allow. An allowed field that is not listed here may hold any JSON, at most maxDepth deep, without
// duplicate names.
var structures = map[string]*layout{
	"stop": {kinds: KindString | KindArray | KindNull, most: 16, items: &layout{kinds: KindString}},
	"stream_options": {kinds: KindObject | KindNull, fields: []fieldLayout{
		{"include_usage", false, kindLayout(boolOrNull)},
		{"include_obfuscation", false, kindLayout(boolOrNull)},
	}},
	"response_format": {kinds: KindObject | KindNull, fields: []fieldLayout{
		{"type", true, oneOf("text", "json_object", "json_schema")},
		{"json_schema", false, freeObject},
	}},
	"tools": {kinds: KindArray | KindNull, most: 128, items: &toolLayout},
	"tool_choice": {kinds: KindString | KindObject | KindNull, values: []string{"none", "auto", "required"}, fields: []fieldLayout{
		{"type", true, oneOf("function")},
		{"function", true, layout{kinds: KindObject, fields: []fieldLayout{
			{"name", true, layout{kinds: KindString, longest: 256}},
		}}},
	}},
	"parallel_tool_calls": {kinds: boolOrNull},
	"passthrough": {
		kinds: KindObject | KindNull, most: 32, every: &layout{kinds: anyScalar, longest: 8 << 10}, names: checkNotFact,
	},
	"metadata":           {kinds: KindObject | KindNull, most: 16, every: &layout{kinds: KindString, longest: 4 << 10}},
	"logit_bias":         {kinds: KindObject | KindNull, most: 1024, every: &layout{kinds: KindNumber}},
	"attachments":        {kinds: KindArray | KindNull, most: maxAttachments, items: &layout{kinds: KindString, longest: 256}},
	"json_schema":        {kinds: KindObject | KindNull, free: true},
	"response_schema":    {kinds: KindObject | KindNull, free: true},
	"json_schema_strict": {kinds: boolOrNull},
	"json_object":        {kinds: boolOrNull},
	"user":               {kinds: textOrNull, longest: 1 << 10},
	"prompt_id":          {kinds: textOrNull, longest: 1 << 10},
	"model_id":           {kinds: textOrNull, longest: 1 << 10},
}

// anything is the layout of a field that an operator allows and that is not in structures.
var anything = &layout{kinds: anyKind, free: true}

// layoutOf returns the layout of a field that an operator allows.
func layoutOf(name string) *layout {
	if shape := structures[name]; shape != nil {
		return shape
	}
	return anything
}

// checkStructure validates a value against its layout and removes everything that the layout does not list, in place.
func (b *Body) checkStructure(f *field, shape *layout) error {
	raw := b.buf[f.start:f.end]
	p := newNested()
	defer p.free()
	p.load(raw)
	r := reshaper{p: p, out: raw[:0]}
	if err := r.value(shape); err != nil {
		return nestedFailure(f.spec.Name, err)
	}
	f.end = f.start + r.finish(raw)
	return nil
}

// reshaper reads a value and writes the parts that its layout allows. The output is never longer than the input read.
type reshaper struct {
	p       *parser
	out     []byte
	changed bool // whether something was dropped
}

// finish returns the length of the value that was written over raw. A value from which nothing was dropped keeps its
// bytes.
func (r *reshaper) finish(raw []byte) int {
	if !r.changed {
		return copy(raw, r.p.text)
	}
	return len(r.out)
}

func (r *reshaper) value(shape *layout) error {
	switch kind := r.p.decoder.PeekKind(); {
	case kind == 0:
		_, err := r.p.value()
		return err
	case kind == '{' && shape.kinds&KindObject != 0 && !shape.free:
		return r.object(shape)
	case kind == '[' && shape.kinds&KindArray != 0 && !shape.free:
		return r.list(shape)
	}
	raw, err := r.p.value()
	if err != nil {
		return err
	}
	kind := kindOf(raw)
	if kind&shape.kinds == 0 {
		return fault("has the wrong type")
	}
	if kind == KindString {
		if err := shape.checkString(raw); err != nil {
			return err
		}
	}
	r.out = append(r.out, raw...)
	return nil
}

func (l *layout) checkString(raw []byte) error {
	if l.longest > 0 && len(raw)-2 > l.longest {
		return fault("is too long: at most %d bytes are accepted", l.longest)
	}
	if l.values == nil && l.check == nil {
		return nil
	}
	text, err := unquote(raw)
	if err != nil {
		return err
	}
	if l.values != nil && !slices.Contains(l.values, string(text)) {
		return fault("must be one of %s", strings.Join(l.values, ", "))
	}
	if l.check != nil {
		return l.check(string(text))
	}
	return nil
}

func (r *reshaper) list(shape *layout) error {
	if err := r.p.bracket(); err != nil {
		return err
	}
	r.out = append(r.out, '[')
	for i := 0; r.p.decoder.PeekKind() != ']'; i++ {
		if shape.most > 0 && i == shape.most {
			return fault("is too long: at most %d are accepted", shape.most)
		}
		if i > 0 {
			r.out = append(r.out, ',')
		}
		if err := r.value(shape.items); err != nil {
			return inItem(err, i)
		}
	}
	r.out = append(r.out, ']')
	return r.p.bracket()
}

func (r *reshaper) object(shape *layout) error {
	r.out = append(r.out, '{')
	begin, count, seen := len(r.out), 0, uint64(0)
	err := r.p.each(func(name []byte) error {
		inner := shape.every
		if inner == nil {
			i := slices.IndexFunc(shape.fields, func(m fieldLayout) bool { return m.name == string(name) })
			if i < 0 {
				r.changed = true
				return r.p.decoder.SkipValue()
			}
			inner, seen = &shape.fields[i].layout, seen|1<<i
		}
		if shape.names != nil {
			if err := shape.names(string(name)); err != nil {
				return err
			}
		}
		if count++; shape.most > 0 && count > shape.most {
			return fault("has too many fields: at most %d are accepted", shape.most)
		}
		if len(r.out) > begin {
			r.out = append(r.out, ',')
		}
		r.out = append(appendText(r.out, string(name)), ':')
		if shape.every != nil {
			return within(r.value(inner), "["+quoteID(string(name))+"]")
		}
		return inField(r.value(inner), string(name))
	})
	if err != nil {
		return err
	}
	for i, m := range shape.fields {
		if m.required && seen&(1<<i) == 0 {
			return inField(fault("is missing"), m.name)
		}
	}
	r.out = append(r.out, '}')
	return nil
}
