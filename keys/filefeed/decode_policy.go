package filefeed

import (
	"slices"
	"strings"

	"github.com/docsgate/docsgate/policy"
)

// policyFields are the fields of a record that belong to its policy.
var policyFields = []string{"kind", "origins", "ips", "endpoints", "visitors", "limits", "limit_message"}

// policy decodes the fields of a key's policy. It returns nil if there are none.
func (c *decoder) policy(n *node, m fieldValues) *policy.Policy {
	if !slices.ContainsFunc(policyFields, func(name string) bool { return m.get(name) != nil }) {
		return nil
	}
	p := new(policy.Policy)
	before := len(c.faults)
	if kind := m.get("kind"); kind != nil {
		if text, ok := c.text(kind, "kind"); ok {
			var err error
			if p.Kind, err = policy.ParseKind(text); err != nil || text == "" {
				c.errorf(kind.position, `kind must be "publishable" or "secret"`)
			}
		}
	}
	p.Origins = decodeList(c, m.get("origins"), "origins", policy.ParseOrigin)
	p.IPs = decodeList(c, m.get("ips"), "ips", policy.ParsePrefix)
	p.Endpoints = decodeList(c, m.get("endpoints"), "endpoints", func(text string) (string, error) { return text, nil })
	p.Visitors = c.visitors(m.get("visitors"))
	if limits := m.get("limits"); limits != nil {
		c.limits(limits, &p.Limits)
	}
	if message := m.get("limit_message"); message != nil {
		p.LimitMessage = c.limitMessage(message)
	}
	if len(c.faults) > before {
		return nil
	}
	if err := p.Validate(); err != nil {
		at := n
		if kind := m.get("kind"); kind != nil {
			at = kind
		}
		c.errorf(at.position, "%s", err)
		return nil
	}
	if p.IsZero() {
		return nil
	}
	return p
}

// decodeList decodes a list of texts that must not be empty. A nil node is an empty list.
func decodeList[T any](c *decoder, n *node, what string, parse func(string) (T, error)) []T {
	switch {
	case n == nil:
		return nil
	case n.kind != listNode:
		c.wrongKind(n, what+" must be a list")
		return nil
	case len(n.items) == 0:
		c.errorf(n.position, "%s is empty: remove it, or list at least one", what)
		return nil
	}
	list := make([]T, 0, len(n.items))
	for _, item := range n.items {
		text, ok := c.text(item, "an entry of "+what)
		if !ok {
			continue
		}
		value, err := parse(text)
		if err != nil {
			c.errorf(item.position, "%s: %s", what, err)
			continue
		}
		list = append(list, value)
	}
	return list
}

// limitMessage decodes the sentence in the errors of limits.
func (c *decoder) limitMessage(n *node) policy.LimitMessage {
	text, ok := c.text(n, "limit_message")
	if !ok {
		return ""
	}
	message, err := policy.ParseLimitMessage(text)
	switch {
	case err != nil:
		c.errorf(n.position, "%s", err)
	case message == "":
		c.errorf(n.position, "limit_message is empty: remove it, or specify a sentence")
	}
	return message
}

// limits decodes the limits of a key.
func (c *decoder) limits(n *node, limits *policy.Limits) {
	if n.kind != mapNode {
		c.wrongKind(n, `limits must be a mapping, such as "limits: {streams: 50}"`)
		return
	}
	for _, limit := range c.fields(n, policy.LimitNames(), "the limits are "+strings.Join(policy.LimitNames(), ", ")) {
		name, value := limit.name, limit.value
		text := value.text
		switch value.kind {
		case textNode, scalarNode, timeNode:
		case nullNode:
			c.errorf(value.position, "%s has no value: specify one", name)
			continue
		default:
			c.wrongKind(value, name+` must be a number, a rate, or "off"`)
			continue
		}
		if text == "false" && value.kind == scalarNode {
			text = "off" // YAML 1.1 reads off as false
		}
		if err := limits.Set(name, text); err != nil {
			c.errorf(value.position, "%s", err)
		}
	}
}
