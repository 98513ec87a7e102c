#!/usr/bin/env bash
# package.sh BINARY ARCH VERSION OUTPUT [PACKAGER...]: builds the .deb and the .rpm of packaging/nfpm.yaml in the folder OUTPUT, or
# only that of PACKAGER. ARCH is Go's name of the architecture. VERSION is that of a release, such as v1.2.3, or the output of "git
# describe". DOCSGATE_HOST_BINARY is a docsgate that this machine can execute (default BINARY); it writes completions and
# manual pages.
#
# The same commit and binary give the same packages, byte for byte.
set -euo pipefail
cd "$(dirname "$0")/.."
binary=${1:?the binary} version=${3:?the version} output=${4:?the output folder}
export ARCH=${2:?the architecture}
packagers=("${@:5}")
((${#packagers[@]} > 0)) || packagers=(deb rpm)

export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}"
# Versions that sort as commits do: v1.2.3-4-gabc is after 1.2.3, and devel-abc before all releases.
if [[ "$version" =~ ^v?([0-9]+\.[0-9]+\.[0-9]+)(-([0-9]+)-(g[0-9a-f]+)(-dirty)?)?$ ]]; then
	version="${BASH_REMATCH[1]}${BASH_REMATCH[2]:+"+${BASH_REMATCH[3]}.${BASH_REMATCH[4]}"}"
elif [[ "$version" =~ ^v?([0-9]+\.[0-9]+\.[0-9]+-[0-9A-Za-z.]+)$ ]]; then
	version="${BASH_REMATCH[1]}" # a pre-release, which nfpm writes as 1.2.3~rc.1
else
	version="0.0.0-devel.$(date --utc --date="@$SOURCE_DATE_EPOCH" +%Y%m%d%H%M%S)"
fi
export VERSION="$version"

STAGE="$(mktemp -d)"
export STAGE
trap 'rm -rf "$STAGE"' EXIT
cp "$binary" "$STAGE/docsgate"
scripts/completions.sh "${DOCSGATE_HOST_BINARY:-$STAGE/docsgate}" "$STAGE"
find "$STAGE" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
mkdir -p "$output"
# Not the conventional names: they have a tilde for pre-releases, which GitHub replaces in the names of a release's files.
for packager in "${packagers[@]}"; do
	go tool -modfile=tools/release/go.mod nfpm package --config packaging/nfpm.yaml --packager "$packager" \
		--target "$output/docsgate_${VERSION}_linux_$ARCH.$packager"
done
