package ui

import (
	"cmp"
	"strings"

	"github.com/docsgate/docsgate/keys/keyindex"
)

// sortOption is an order of the list. Its value is the name of the order, after a minus sign for the opposite order.
type sortOption struct{ Value, Label string }

var sortOptions = []sortOption{
	{"", "Newest first"},
	{"-created", "Oldest first"},
	{"name", "Name, A to Z"},
	{"-name", "Name, Z to A"},
	{"expires", "Expiring first"},
	{"-expires", "Expiring last"},
	{"used", "Last used first"},
	{"-used", "Unused first"},
}

// ascending reports, by the name of the order, whether the values in its column increase.
var ascending = map[string]bool{"created": false, "name": true, "expires": true, "used": false}

// column is the heading of a column that can be sorted.
type column struct {
	Link  string // to the list in this order, or in the opposite one if it already has this order
	Order string // value of aria-sort, or ""
}

// sortBy sets the order of a query, and what the page shows about it. An unknown order is the usual one.
func (l *listPage) sortBy(q *keyindex.Query) {
	order, reverse, known := keyindex.ParseSort(l.Sort)
	if !known {
		l.Sort = ""
	}
	name := cmp.Or(strings.TrimPrefix(l.Sort, "-"), "created")
	q.Sort, q.Reverse = order, reverse && known
	l.Sorts, l.Columns = sortOptions, make(map[string]column, len(ascending))
	for other := range ascending {
		next := *l
		c := column{}
		if next.Sort = other; other == name {
			if c.Order = "descending"; ascending[name] != q.Reverse {
				c.Order = "ascending"
			}
			if !q.Reverse {
				next.Sort = "-" + other
			}
		}
		if next.Sort == "created" {
			next.Sort = ""
		}
		c.Link = next.link()
		l.Columns[other] = c
	}
}

// columnData is the data of the heading of a column.
type columnData struct {
	column
	Base, Label, Note string
}

// columnDataOf returns the data of a column of the list by the name of its order.
func columnDataOf(f layoutData, order, label, note string) columnData {
	return columnData{f.Body.(listPage).Columns[order], f.Base, label, note}
}
