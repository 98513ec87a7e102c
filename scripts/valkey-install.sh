#!/usr/bin/env bash
# Prints the path of a valkey-server for tests. If the machine has none, as root on Debian it installs the one of Debian 13 in a root
# file system of its own, and prints the path of a script that starts it there. An existing installation is reused.
set -euo pipefail
cd "$(dirname "$0")/.."

if command -v valkey-server; then exit 0; fi
if [[ "$(id -u)" != 0 || "$(. /etc/os-release && echo "$ID")" != debian ]]; then
	echo "valkey-install: valkey-server is missing: install Valkey (as root on Debian, this script installs it)" >&2
	exit 1
fi
root="$(scripts/debian-root.sh trixie valkey-server)"
library="$(dirname "$(readlink -f "$root"/usr/lib/*-linux-gnu*/libc.so.6)")"
# With the dynamic linker and the libraries of its release, since those of an older one lack symbols.
{
	echo '#!/bin/sh'
	echo "exec '$(echo "$library"/ld-linux*.so.*)' --library-path '$library' '$root/usr/bin/valkey-server' \"\$@\""
} >"$root.valkey-server"
chmod 755 "$root.valkey-server"
echo "$root.valkey-server"
