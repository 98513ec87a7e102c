package docsgpt

// Facts are what the gate has verified about the client. DocsGPT stores them with each turn, so that its logs can be filtered by
// visitor, and makes them available to prompt templates. Nothing in them is chosen by the client. The zero value is not sent.
type Facts struct {
	Key     string // ID of the key
	Visitor string // ID of the visitor
}

// Names of the facts in the field passthrough.
const (
	factKey     = "docsgate_key"
	factVisitor = "docsgate_visitor"
)

// factsRule is where an endpoint takes facts.
type factsRule uint8

const (
	factsNone   factsRule = iota
	factsTop              // in the field passthrough
	factsNested           // in the field passthrough of the object docsgpt
)

// passthroughField is the name of the field that DocsGPT stores and that prompt templates read.
const passthroughField = "passthrough"

// append appends the facts to a body as the endpoint takes them.
func (f *Facts) append(out []byte, rule factsRule) []byte {
	switch rule {
	case factsNested:
		out = append(appendName(out, "docsgpt"), `{"passthrough":`...)
		return append(f.appendObject(out), '}')
	case factsTop:
		return f.appendObject(appendName(out, passthroughField))
	case factsNone:
	}
	return out
}

func (f *Facts) appendObject(out []byte) []byte {
	out = appendText(append(out, `{"`+factKey+`":`...), f.Key)
	out = appendText(append(out, `,"`+factVisitor+`":`...), f.Visitor)
	return append(out, '}')
}

// checkNotFact rejects the names of facts in a passthrough of the client, who could otherwise impersonate a visitor.
func checkNotFact(name string) error {
	if name == factKey || name == factVisitor {
		return fault("must not contain %s and %s, which are reserved", factKey, factVisitor)
	}
	return nil
}
