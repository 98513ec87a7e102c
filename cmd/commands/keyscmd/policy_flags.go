package keyscmd

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/console/api"
	"github.com/docsgate/docsgate/policy"
)

// policyHelp is the part of the help about the flags of policyFlags.
const policyHelp = `--kind publishable is for keys in web pages, which need at least one --origin; --kind secret is for keys on servers, which browsers
must not present. Without a kind, a key works from both. --origin, --ip and --endpoint restrict the web pages, the addresses of the
clients and the endpoint groups that may use the key. --visitors says whether tokens that your server signs for its visitors are valid:
off, optional (in addition to the token of the key) or required (only they). --limit NAME=VALUE sets a limit: requests and visitor_requests are rates such as
600/1m; streams, visitor_streams, questions_per_day, questions_per_month, tokens_per_day, question_chars and history_turns are numbers.
The value off removes the limit. weight, from 1 to 100, is the share of the key in the queue for answers. For limits that are not set,
the defaults of the site apply. --limit-message is the sentence that users see when a limit is reached, such as "Please ask again in
{wait}."; {wait_short} is the same time as "20 s" or "5 min".`

// limitDefault is the value of --limit with which the default of the site applies.
const limitDefault = "default"

// policyFlags are the flags for the policy of a key.
type policyFlags struct {
	kind, visitors         string
	origins, ips, endpoint []string
	publicKeys             []string
	limits                 []string // NAME=VALUE
	limitMessage           string
}

func (p *policyFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&p.kind, "kind", "", "Kind of the key: publishable or secret")
	flags.StringSliceVar(&p.origins, "origin", nil, `Web origin that may use the key, such as https://docs.example.com or https://*.example.org, `+
		`or "*" for any; repeat the flag, or separate origins with commas`)
	flags.StringSliceVar(&p.ips, "ip", nil, "Address or range of clients that may use the key, such as 192.0.2.0/24; repeat the flag, or separate with commas")
	flags.StringSliceVar(&p.endpoint, "endpoint", nil, "Endpoint group that the key works at: "+strings.Join(policy.Endpoints, ", ")+
		"; repeat the flag, or separate with commas")
	flags.StringVar(&p.visitors, "visitors", "", "Whether signed tokens of visitors are valid: off, optional or required")
	flags.StringArrayVar(&p.publicKeys, "sign-public-key", nil, "Ed25519 public key in base64 that verifies signed tokens, in place of a secret of the gate; "+
		"repeat the flag for several")
	flags.StringArrayVar(&p.limits, "limit", nil, "Limit as NAME=VALUE, such as visitor_requests=20/1m, streams=50 or requests=off; repeat the flag")
	flags.StringVar(&p.limitMessage, "limit-message", "", "Sentence that users see when a limit is reached; {wait} is replaced by the time to wait")
}

// request returns the fields for a new key.
func (p *policyFlags) request() (r api.PolicyRequest, err error) {
	r = api.PolicyRequest{Kind: p.kind, Origins: p.origins, IPs: p.ips, Endpoints: p.endpoint, Visitors: p.visitors, LimitMessage: p.limitMessage}
	r.Limits, err = p.parseLimits()
	for name, value := range r.Limits {
		if value == limitDefault {
			delete(r.Limits, name)
		}
	}
	return r, err
}

// addChanges adds the fields whose flags are specified. An empty value removes a field.
func (p *policyFlags) addChanges(cmd *cobra.Command, fields map[string]any) error {
	changed := cmd.Flags().Changed
	if changed("kind") {
		fields["kind"] = nil
		if p.kind != "" {
			fields["kind"] = p.kind
		}
	}
	if changed("limit-message") {
		fields["limit_message"] = nil
		if p.limitMessage != "" {
			fields["limit_message"] = p.limitMessage
		}
	}
	if changed("visitors") {
		fields["visitors"] = p.visitors
	}
	for _, list := range []struct {
		flag, field string
		values      []string
	}{{"origin", "origins", p.origins}, {"ip", "ips", p.ips}, {"endpoint", "endpoints", p.endpoint}, {"sign-public-key", "sign_public_key", withoutEmpty(p.publicKeys)}} {
		if changed(list.flag) {
			fields[list.field] = nil
			if len(list.values) > 0 {
				fields[list.field] = list.values
			}
		}
	}
	given, err := p.parseLimits()
	if err != nil || len(given) == 0 {
		return err
	}
	limits := make(map[string]any, len(given))
	for name, value := range given {
		limits[name] = nil
		if value != limitDefault {
			limits[name] = value
		}
	}
	fields["limits"] = limits
	return nil
}

// withoutEmpty returns nil for one empty text, which removes a list.
func withoutEmpty(texts []string) []string {
	if len(texts) == 1 && texts[0] == "" {
		return nil
	}
	return texts
}

// parseLimits returns the values of --limit by name. The gate validates the values.
func (p *policyFlags) parseLimits() (map[string]string, error) {
	limits := make(map[string]string, len(p.limits))
	for _, text := range p.limits {
		name, value, ok := strings.Cut(text, "=")
		_, repeated := limits[name]
		switch {
		case !ok || value == "":
			return nil, cli.Errorf(cli.ExitUsage, "--limit must be NAME=VALUE, such as visitor_requests=20/1m")
		case !slices.Contains(policy.LimitNames(), name):
			return nil, cli.Errorf(cli.ExitUsage, "--limit: unknown limit: must be one of %s", strings.Join(policy.LimitNames(), ", "))
		case repeated:
			return nil, cli.Errorf(cli.ExitUsage, "--limit: %s is specified twice", name)
		}
		limits[name] = value
	}
	return limits, nil
}

// limitWords are the completions of --limit.
func limitWords() []string {
	words := make([]string, 0, len(policy.LimitNames()))
	for _, name := range policy.LimitNames() {
		words = append(words, name+"=")
	}
	return words
}

// describeLimits lists the limits of a policy that are set.
func describeLimits(limits *policy.Limits) string {
	var set []string
	for _, name := range policy.LimitNames() {
		if limit, _ := limits.Get(name); !limit.IsZero() {
			set = append(set, name+" "+limit.String())
		}
	}
	return strings.Join(set, ", ")
}

// joined lists the entries of a list of a policy.
func joined[T interface{ String() string }](list []T) string {
	texts := make([]string, len(list))
	for i, entry := range list {
		texts[i] = entry.String()
	}
	return strings.Join(texts, ", ")
}
