package registry

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/docsgate/docsgate/policy"
)

// PolicyChange is a change of the policy of a key. Fields that are nil or not set are not changed.
type PolicyChange struct {
	Kind      *policy.Kind     // AnyKind: not specified
	Origins   *[]policy.Origin // empty: any
	IPs       *[]policy.Prefix // empty: any
	Endpoints *[]string        // empty: all
	Visitors  *policy.Visitors
	Limits    policy.Limits // those that are set
	Default   []string      // names of limits that become not set, so that the default applies

	LimitMessage *policy.LimitMessage // empty: that of the site
}

// Apply returns the changed policy, nil if it is the zero value. The old one may be nil and is not modified.
func (e *PolicyChange) Apply(old *policy.Policy) *policy.Policy {
	var p policy.Policy
	if old != nil {
		p = *old
	}
	if e.Kind != nil {
		p.Kind = *e.Kind
	}
	if e.Origins != nil {
		p.Origins = *e.Origins
	}
	if e.IPs != nil {
		p.IPs = *e.IPs
	}
	if e.Endpoints != nil {
		p.Endpoints = *e.Endpoints
	}
	if e.Visitors != nil {
		p.Visitors = *e.Visitors
	}
	for _, name := range e.Default {
		p.Limits.Unset(name)
	}
	p.Limits = e.Limits.Or(&p.Limits)
	if e.LimitMessage != nil {
		p.LimitMessage = *e.LimitMessage
	}
	if p.IsZero() {
		return nil
	}
	return &p
}

// policy validates a policy and returns it, or nil if it is nil or the zero value.
func (c *validator) policy(p *policy.Policy) *policy.Policy {
	if p == nil || p.IsZero() {
		return nil
	}
	if err := p.Validate(); err != nil {
		if fault, ok := errors.AsType[*policy.FieldError](err); ok {
			c.errorf(fault.Field, "%s", fault.Message)
		} else {
			c.errs = append(c.errs, err)
		}
	}
	if isToken(string(p.LimitMessage)) {
		c.errorf("limit_message", "must not be a token, because clients and the audit trail show it")
	}
	return p
}

// policyChanges describes the difference between two policies for the audit trail, field by field. Either may be nil.
func policyChanges(before, after *policy.Policy) (details []string) {
	if before == nil {
		before = new(policy.Policy)
	}
	if after == nil {
		after = new(policy.Policy)
	}
	add := func(field, was, is, unset string) {
		switch {
		case was == is:
		case was == "":
			details = append(details, field+" "+is)
		case is == "":
			details = append(details, fmt.Sprintf("%s %s, was %s", field, unset, was))
		default:
			details = append(details, fmt.Sprintf("%s %s, was %s", field, is, was))
		}
	}
	add("kind", before.Kind.String(), after.Kind.String(), "not specified")
	list := func(field string, was, is []string) {
		if !slices.Equal(was, is) {
			add(field, firstFew(was), firstFew(is), "not restricted")
		}
	}
	list("origins", texts(before.Origins), texts(after.Origins))
	list("ips", texts(before.IPs), texts(after.IPs))
	list("endpoints", before.Endpoints, after.Endpoints)
	if before.Visitors != after.Visitors {
		details = append(details, fmt.Sprintf("visitors %s, was %s", after.Visitors, before.Visitors))
	}
	for _, name := range policy.LimitNames() {
		was, _ := before.Limits.Get(name)
		is, _ := after.Limits.Get(name)
		add(name, was.String(), is.String(), "default")
	}
	add("limit_message", quoted(before.LimitMessage), quoted(after.LimitMessage), "default")
	return details
}

// quoted returns a message in quotes, or "" if it is not set.
func quoted(m policy.LimitMessage) string {
	if m == "" {
		return ""
	}
	return strconv.Quote(string(m))
}

// texts formats the entries of a list.
func texts[T fmt.Stringer](list []T) []string {
	all := make([]string, len(list))
	for i, entry := range list {
		all[i] = entry.String()
	}
	return all
}
