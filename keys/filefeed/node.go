package filefeed

// kind is the shape of a node. The names of scalar kinds are what JSON and YAML have in common.
type kind uint8

const (
	nullNode kind = iota + 1
	textNode
	timeNode   // YAML only: a plain scalar that looks like a time
	scalarNode // a number or a boolean: nothing that a key file has a use for
	listNode
	mapNode
	aliasNode // YAML only: *name
	tagNode   // YAML only: a value with a tag of its own
)

// position is a place in the file. Both count from 1; the column counts bytes in JSON and characters in YAML.
type position struct{ line, column int }

// node is one value of a key file, whether it came from YAML or JSON.
type node struct {
	position
	kind    kind
	text    string // of textNode and timeNode
	items   []*node
	members []member
}

// member is one member of a mapping, in the order of the file. A mapping may hold the same name twice.
type member struct {
	position
	name  string
	key   kind // kind of the name: JSON has text only
	value *node
}
