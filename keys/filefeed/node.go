package filefeed

// kind is the type of a node. The scalar types are those that JSON and YAML have in common.
type kind uint8

const (
	nullNode kind = iota + 1
	textNode
	timeNode   // YAML only: a plain scalar that looks like a time
	scalarNode // a number or a boolean, which only policies accept
	listNode
	mapNode
	aliasNode // YAML only: *name
	tagNode   // YAML only: a value with an explicit tag
)

// position is a position in the file. Both values start at 1; the column counts bytes in JSON and characters in YAML.
type position struct{ line, column int }

// node is one value of a key file, parsed from YAML or JSON.
type node struct {
	position
	kind   kind
	text   string // only of scalars
	items  []*node
	fields []field
}

// field is one field of a mapping, in the order of the file. A name may occur more than once.
type field struct {
	position
	name  string
	key   kind // kind of the name; always textNode in JSON
	value *node
}
