package doctor

import (
	"context"
	"fmt"
)

// checkKinds counts the keys that can be used in more places than they have to. It names no keys: there may be thousands.
func (x *runner) checkKinds(context.Context) {
	kinds := x.input.Keys.Kinds
	if kinds == nil {
		return
	}
	if n := kinds["none"]; n > 0 {
		x.note("feeds.kinds", number(n, "active key")+" without a kind, usable both in pages and on servers.",
			"Make the keys of pages publishable, with the origins of the pages: \"docsgate keys update ID --kind publishable --origin "+
				"https://docs.example.com\"; and those of servers secret: \"--kind secret\".")
	}
	if n := kinds["publishable_any_page"]; n > 0 {
		x.note("feeds.kinds", number(n, "publishable key")+" with the origin \"*\", usable on every page.",
			"List the origins of the pages that contain the key.")
	}
	if x.worst("feeds.kinds") == "" {
		x.ok("feeds.kinds", fmt.Sprintf("All active keys have a kind: %d publishable, %d secret.", kinds["publishable"], kinds["secret"]))
	}
}

// checkUnlimited checks that keys that pages can contain do not switch off the limits that bound them.
func (x *runner) checkUnlimited(context.Context) {
	k := &x.input.Keys
	switch {
	case k.Unlimited > 0:
		x.warn("feeds.limits", number(k.Unlimited, "active key")+" that pages can contain, with visitor_requests off and no limit of requests: "+
			"anyone who reads such a page can use DocsGPT's model without limit.",
			"Remove visitor_requests from the limits of the key, so that the default applies, or set requests; if only servers use the key, "+
				"make it secret.")
	case k.Kinds != nil:
		x.ok("feeds.limits", "No key that pages can contain switches its limits off.")
	}
}

// checkVisitorLimits checks that the sites limit what one visitor can do with a key of a page.
func (x *runner) checkVisitorLimits(context.Context) {
	const fix = "Remove \"visitor_requests\" or \"off\" from the limits of the site: the default is far above what people do. For a key of a " +
		"server, set the limit of the key, or make the key secret."
	for i := range x.input.Gates {
		switch g := &x.input.Gates[i]; g.VisitorLimits {
		case VisitorLimitsOff:
			x.warn("gate.visitor_limits", "The gate at "+g.Site.String()+" does not limit the requests of a visitor, so anyone can use the key "+
				"of a page without limit.", fix)
		case VisitorLimitsDryRun:
			x.note("gate.visitor_limits", "The gate at "+g.Site.String()+" only counts the requests of visitors that exceed the limit.",
				"Remove \"dry_run\" when the metric caddy_docsgate_would_reject_total shows that the limit fits.")
		default:
			x.ok("gate.visitor_limits", "The gate at "+g.Site.String()+" limits the requests of a visitor.")
		}
	}
}
