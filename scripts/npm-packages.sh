#!/usr/bin/env bash
# npm-packages.sh FOLDER...: installs the npm packages of folders, unless they are installed.
set -euo pipefail
cd "$(dirname "$0")/.."
# The stamp is a copy of the lock file that node_modules was installed from.
for folder in "$@"; do
	if ! cmp -s "$folder/package-lock.json" "$folder/node_modules/.installed-from"; then
		(cd "$folder" && npm ci --no-audit --no-fund)
		cp "$folder/package-lock.json" "$folder/node_modules/.installed-from"
	fi
done
