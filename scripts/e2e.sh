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

scripts/npm-packages.sh docs e2e
cd e2e
exec "$@"
