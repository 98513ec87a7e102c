#!/usr/bin/env bash
# Checks that this machine has all programs that the tests need. As root on Debian or Ubuntu it installs missing ones;
# otherwise it lists them and exits with status 1. It also creates .cache/venv, the Python environment of the tests that need
# one. If nothing is missing, it takes less than a second.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()   # descriptions of the missing programs
packages=()  # the Debian packages that contain them

# report_missing NAME HOW [PACKAGE...]: records that NAME is missing. HOW says how to get it without apt.
report_missing() {
	missing+=("$1: $2")
	packages+=("${@:3}")
}

have() { command -v "$1" >/dev/null 2>&1; }

# at_least HAVE WANT: compares dotted versions.
at_least() { [[ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" == "$2" ]]; }

# find_python prints the first Python that is new enough and has venv.
find_python() {
	local p
	for p in python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do
		if have "$p" && "$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
			command -v "$p"
			return
		fi
	done
	return 1
}

# have_postgres: the server's programs, which are not in PATH on Debian.
have_postgres() { { have initdb && have postgres; } || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }

# have_server NAME: also in a folder that is not in every user's PATH.
have_server() { have "$1" || [[ -x "/usr/sbin/$1" ]]; }

check() {
	missing=() packages=()
	have git || report_missing git "your system's package" git
	have gcc || have cc || report_missing "a C compiler" "gcc or clang (the race detector needs one)" gcc libc6-dev
	if ! have node || ! at_least "$(node -p process.versions.node 2>/dev/null || echo 0)" 20; then
		report_missing "node 20 or later" "https://nodejs.org" nodejs
	fi
	have curl || report_missing curl "your system's package" curl
	have jq || report_missing jq "your system's package" jq
	have php || report_missing php "PHP 8, the command line program" php-cli
	have npm || report_missing npm "https://nodejs.org" npm
	find_python >/dev/null || report_missing "python3 3.11 or later with venv" "https://www.python.org" python3 python3-venv
	have chromium || have chromium-browser || have google-chrome ||
		report_missing chromium "Chromium or Chrome from your system's packages" chromium fonts-liberation
	have_postgres || report_missing postgresql "PostgreSQL's server programs, initdb and postgres" postgresql
	have redis-server || have valkey-server || report_missing redis-server "Redis or Valkey" redis-server
	have buildah || report_missing buildah "buildah, for the test of the image" buildah
	have podman || report_missing podman "podman, for the test of the image" podman
	have runc || report_missing runc "runc, which podman needs here" runc
	{ have prometheus && have promtool; } || report_missing prometheus "Prometheus and promtool" prometheus
	have_server nginx || report_missing nginx "nginx, for the tests of the gate behind it" nginx
	have_server haproxy || report_missing haproxy "HAProxy, for the same" haproxy
	have openssl || report_missing openssl "your system's package" openssl
	have_server debootstrap || report_missing debootstrap "debootstrap, for the tests of the packages" debootstrap
	have lintian || report_missing lintian "lintian, for the same" lintian
	have rpm || report_missing rpm "rpm, for the same" rpm
	[[ -e /etc/ssl/certs/ca-certificates.crt || ! -e /etc/debian_version ]] ||
		report_missing "root certificates" "the package ca-certificates" ca-certificates
}

# Go is checked first and never installed: Debian's release is too old.
want_go="$(awk '$1 == "go" { print $2; exit }' go.mod)"
if ! have go; then
	echo "go is missing: install Go $want_go or later from https://go.dev/dl/" >&2
	exit 1
fi
have_go="$(go env GOVERSION)"
if ! at_least "${have_go#go}" "$want_go"; then
	echo "go is ${have_go#go}, but $want_go or later is needed: https://go.dev/dl/" >&2
	exit 1
fi

check
if ((${#missing[@]} > 0)) && [[ "$(id -u)" == 0 ]] && have apt-get; then
	echo "installing with apt-get: ${packages[*]}"
	export DEBIAN_FRONTEND=noninteractive
	# The tests start their own servers, so the packages should not.
	for server in nginx haproxy redis-server prometheus; do
		have_server "$server" || { mkdir -p /etc/systemd/system && ln -sfn /dev/null "/etc/systemd/system/$server.service"; }
	done
	if [[ ! -e /usr/sbin/policy-rc.d ]]; then
		printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
		chmod 755 /usr/sbin/policy-rc.d
		trap 'rm -f /usr/sbin/policy-rc.d' EXIT
	fi
	if ! have_postgres; then
		mkdir -p /etc/postgresql-common/createcluster.d
		echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/no-main-cluster.conf
	fi
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
	check
fi
if ((${#missing[@]} > 0)); then
	{
		echo "the tests need these missing programs (as root on Debian or Ubuntu, this script installs them):"
		printf '  %s\n' "${missing[@]}"
	} >&2
	exit 1
fi

# The stamp contains everything that the environment depends on, so it is recreated after a change.
python="$(find_python)"
stamp="$("$python" -c 'import sys; print(sys.executable, sys.version)') $(cat scripts/python-requirements.txt)"
if [[ "$(cat .cache/venv/stamp 2>/dev/null || true)" != "$stamp" ]]; then
	echo "creating .cache/venv (Flask, schemathesis, kubernetes-validate and Traefik)"
	rm -rf .cache/venv
	mkdir -p .cache
	"$python" -m venv .cache/venv
	.cache/venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement scripts/python-requirements.txt
	printf '%s\n' "$stamp" >.cache/venv/stamp
fi
echo "ready: $have_go, node $(node -p process.versions.node), $(.cache/venv/bin/python -V)"
