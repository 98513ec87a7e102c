#!/usr/bin/env bash
# check-modules.sh CADDY DOCSGATE: checks the binary that xcaddy-build built. It must have the gate's handler and subcommands,
# and contain the same releases of all modules as bin/docsgate, which the tests run.
set -euo pipefail
caddy="$(realpath "$1")" docsgate="$(realpath "$2")"

# list-modules also prints the Go module and its replacement: "ID MODULE => FOLDER".
modules="$("$caddy" list-modules --packages)"
if ! grep -qE '^http\.handlers\.docsgate github\.com/docsgate/docsgate( |$)' <<<"$modules"; then
	echo "$1 list-modules --packages has no http.handlers.docsgate of github.com/docsgate/docsgate" >&2
	exit 1
fi
if ! grep -qE '^caddy\.logging\.encoders\.docsgate ' <<<"$modules"; then
	echo "$1 list-modules has no caddy.logging.encoders.docsgate" >&2
	exit 1
fi
grep -E '^([a-z_.]+\.)?docsgate' <<<"$modules" | cut -d ' ' -f 1-2

help="$("$caddy" help)"
for command in adopt demo doctor health keys; do
	if ! grep -qE "^ +$command " <<<"$help"; then
		echo "$1 has no subcommand '$command'" >&2
		exit 1
	fi
done

# The releases of all modules that both binaries contain.
releases() { go version -m "$1" | awk '$1 == "dep" && $3 != "(devel)" { print $2, $3 }' | sort; }
differing="$(join <(releases "$caddy") <(releases "$docsgate") | awk '$2 != $3')"
if [[ -n "$differing" ]]; then
	printf '%s and %s contain different releases (module, first, second):\n%s\n' "$1" "$2" "$differing" >&2
	exit 1
fi
echo "$1 contains docsgate and the same releases as $2"
