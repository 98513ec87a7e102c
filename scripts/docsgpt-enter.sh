#!/usr/bin/env bash
# docsgpt-enter.sh INSTALLATION DATA USER COMMAND...: executes the command as USER inside an installation of
# docsgpt-install.sh. If the installation is a root file system, the folder DATA is mounted there as /run-data. DATA "-" means
# no folder, USER "-" the current user.
#
# Mounts are in a private namespace, so they end with the command. Each step is an exec, so the command has the process id of
# this script.
set -euo pipefail
installation=$1 data=$2 user=$3
shift 3
drop=()
if [[ "$user" != - && "$(id -u)" == 0 ]]; then
	drop=(setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups)
fi
if ! grep -qx mode=root "$installation/paths"; then
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
