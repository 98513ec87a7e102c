#!/usr/bin/env bash
# e2e.sh COMMAND...: installs the npm packages of e2e/ and runs a command in that folder, for tests of the binary in
# DOCSGATE_BIN (default bin/docsgate).
set -euo pipefail
cd "$(dirname "$0")/.."
export DOCSGATE_BIN="${DOCSGATE_BIN:-$PWD/bin/docsgate}"
if [[ ! -x "$DOCSGATE_BIN" ]]; then
	echo "$DOCSGATE_BIN is missing: run make build" >&2
	exit 1
fi

cd e2e
# The stamp is a copy of the lock file that node_modules was installed from.
if ! cmp -s package-lock.json node_modules/.installed-from; then
	npm ci --no-audit --no-fund
	cp package-lock.json node_modules/.installed-from
fi
exec "$@"
