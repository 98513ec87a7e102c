#!/usr/bin/env bash
# image-root.sh DIRECTORY: creates the files of the image in two folders: root, except for the binary itself, and volumes, whose
# contents belong to the image's user. The Dockerfile and the test of the image use it.
set -euo pipefail
cd "$(dirname "$0")/.."
root="${1:?the directory}/root"

mkdir -p "$root"/{etc/docsgate,etc/ssl/certs,tmp} "$1"/volumes/{data,config}
chmod 1777 "$root/tmp"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
cp examples/compose/Caddyfile "$root/etc/docsgate/Caddyfile"
echo 'docsgate:x:65532:65532:docsgate:/data:/sbin/nologin' >"$root/etc/passwd"
echo 'docsgate:x:65532:' >"$root/etc/group"
