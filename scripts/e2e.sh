#!/usr/bin/env bash
# e2e.sh COMMAND...: installs the npm packages of docs/ and e2e/ and runs a command in e2e/, for tests of the binary in
# DOCSGATE_BIN (default bin/docsgate) and of the site of the documentation.
set -euo pipefail
cd "$(dirname "$0")/.."
export DOCSGATE_BIN="${DOCSGATE_BIN:-$PWD/bin/docsgate}"
if [[ ! -x "$DOCSGATE_BIN" ]]; then
	echo "$DOCSGATE_BIN is missing: run make build" >&2
	exit 1
fi

# The stamp is a copy of the lock file that node_modules was installed from.
for folder in docs e2e; do
	if ! cmp -s "$folder/package-lock.json" "$folder/node_modules/.installed-from"; then
		(cd "$folder" && npm ci --no-audit --no-fund)
		cp "$folder/package-lock.json" "$folder/node_modules/.installed-from"
	fi
done
cd e2e
exec "$@"
