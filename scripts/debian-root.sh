#!/usr/bin/env bash
# Installs a minimal Debian for tests, and prints its folder, which is below ${XDG_CACHE_HOME:-~/.cache}/docsgate. An existing one is
# reused: copy it before changing it. It needs root and debootstrap.
#
#   scripts/debian-root.sh                     the release of this machine with systemd's programs, for the tests of the packages
#   scripts/debian-root.sh SUITE PACKAGE...    another release with other packages
set -euo pipefail

codename="$(. /etc/os-release && echo "$VERSION_CODENAME")"
suite="${1:-$codename}"
packages=("${@:2}")
((${#packages[@]} > 0)) || packages=(iproute2 systemd)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/docsgate"
target="$cache/debian-$suite-$(dpkg --print-architecture)-$({ cat "$0" && echo "${packages[@]}"; } | sha256sum | cut -c 1-12)"
mkdir -p "$cache"
exec 9>"$cache/debian-root.lock"
flock 9

if [[ ! -d "$target" ]]; then
	# Prints the mirror of this machine's own packages.
	mirror() {
		apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' |
			awk -v c="$codename" '$2 == c && $3 == "main" && !found { print $1; found = 1 }'
	}
	url="$(mirror)"
	[[ -n "$url" ]] || { apt-get update -q >&2; url="$(mirror)"; }
	[[ -n "$url" ]] || { echo "debian-root: apt's sources contain no mirror of $codename" >&2; exit 1; }

	building="$target.building"
	rm -rf --one-file-system "$building"
	# In a private mount namespace, so that the mounts of debootstrap end with it, even if it is interrupted.
	if ! unshare --mount --propagation private debootstrap --variant=minbase \
		--include="$(IFS=,; echo "ca-certificates,${packages[*]}")" "$suite" "$building" "$url" >"$cache/debian-root.log" 2>&1; then
		tail -n 25 "$cache/debian-root.log" >&2
		exit 1
	fi
	rm -f "$building"/var/cache/apt/archives/*.deb
	mv "$building" "$target"
fi
echo "$target"
