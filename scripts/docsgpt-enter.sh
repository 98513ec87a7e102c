#!/usr/bin/env bash
# docsgpt-enter.sh INSTALLATION DATA USER COMMAND...: becomes the command, inside what docsgpt-install.sh made, as that
# user. Where the installation is a system of its own, the folder DATA is /run-data in it. "-" stands for no folder, and
# for the user who calls.
#
# Mounts are in a namespace of the command's own, so nothing stays mounted. Each step is an exec, so the command has the
# process id of this script.
set -euo pipefail
installation=$1 data=$2 user=$3
shift 3
drop=()
if [[ "$user" != - && "$(id -u)" == 0 ]]; then
	drop=(setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups)
fi
if ! grep -qx way=root "$installation/paths"; then
	exec "${drop[@]}" "$@"
fi
# shellcheck disable=SC2016
exec unshare --mount --propagation private sh -ec '
	root=$1 data=$2
	shift 2
	mount --bind /proc "$root/proc"
	mount --rbind /dev "$root/dev"
	if [ "$data" != - ]; then mount --bind "$data" "$root/run-data"; fi
	exec chroot "$root" "$@"' sh "$installation/root" "$data" "${drop[@]}" "$@"
