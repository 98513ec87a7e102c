#!/usr/bin/env bash
# Runs three gates that share their keys, with PostgreSQL, Redis, a fake DocsGPT and a load balancer, and serves a page that shows a key revoked
# at one gate and rejected at all. Everything listens on 127.0.0.1, and nothing is kept. It is called by `make demo-cluster`.
#
#	scripts/demo-cluster.sh [PORT]    the port of the page, default 8080
#
# The gates listen on PORT+1 to PORT+3, their consoles on PORT+11 to PORT+13, Redis on PORT+21, the fake DocsGPT on a free port, and
# PostgreSQL on a socket.
set -euo pipefail
cd "$(dirname "$0")/.."

port="${1:-8080}"
[[ "$port" =~ ^[0-9]+$ ]] && ((port >= 1024 && port <= 65500)) || { echo "the port must be a number from 1024 to 65500" >&2; exit 2; }
bin="${DOCSGATE_BIN:-$PWD/bin/docsgate}"
[[ -x "$bin" ]] || { echo "$bin is missing: run make build" >&2; exit 1; }

# program NAME PACKAGE: its path, also of the server programs of Debian's PostgreSQL.
program() {
	local found
	found="$(command -v "$1" || compgen -G "/usr/lib/postgresql/*/bin/$1" | sort -V | tail -n 1)"
	[[ -n "$found" ]] || { echo "$1 is missing: run scripts/provision.sh, or install the package $2" >&2; exit 1; }
	echo "$found"
}
source=3f1c0a52-9f0e-4c3f-8f0b-5a7d3f1c2e44 credential=demo-credential
initdb="$(program initdb postgresql)" postgres="$(program postgres postgresql)"
redis="$(command -v redis-server || command -v valkey-server || program redis-server redis-server)"

dir="$(mktemp -d "${TMPDIR:-/tmp}/docsgate-cluster-XXXXXX")"
pids=()
# shellcheck disable=SC2329 # called by trap
stop() {
	trap - EXIT INT TERM
	((${#pids[@]} == 0)) || kill "${pids[@]}" 2>/dev/null || true
	wait || true
	rm -rf "$dir"
}
trap stop EXIT
trap 'exit 0' INT TERM

# start NAME COMMAND...: runs a program in the background, with its output in a file.
start() {
	local name="$1"
	shift
	"$@" >"$dir/$name.log" 2>&1 </dev/null &
	pids+=($!)
}

# wait_for WHAT LOG COMMAND...: repeats a command until it succeeds.
wait_for() {
	local what="$1" log="$2" i
	shift 2
	for ((i = 0; i < 300; i++)); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.1
	done
	echo "$what did not start:" >&2
	tail -n 20 "$dir/$log.log" >&2
	exit 1
}

# A server of PostgreSQL does not run as root.
as_postgres=()
if [[ "$(id -u)" == 0 ]]; then
	id postgres >/dev/null 2>&1 || { echo "the user postgres is missing: install the package postgresql" >&2; exit 1; }
	as_postgres=(setpriv --reuid=postgres --regid=postgres --clear-groups)
fi
mkdir "$dir/pg"
[[ "$(id -u)" != 0 ]] || { chmod 711 "$dir" && chown postgres "$dir/pg"; }
"${as_postgres[@]}" "$initdb" -D "$dir/pg/data" -U docsgate -A trust --no-sync >"$dir/initdb.log" 2>&1 ||
	{ cat "$dir/initdb.log" >&2; exit 1; }
cat >"$dir/postgres.sh" <<-EOF
	#!/bin/sh
	# Starts PostgreSQL.
	exec ${as_postgres[*]} "$postgres" -D "$dir/pg/data" -c listen_addresses= -c unix_socket_directories="$dir/pg" -c fsync=off
EOF
chmod +x "$dir/postgres.sh"
start postgres "$dir/postgres.sh"

redis_password="$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
(
	umask 077
	cat >"$dir/redis.conf" <<-EOF
		bind 127.0.0.1
		port $((port + 21))
		requirepass $redis_password
		save ""
		dir $dir
	EOF
)
cat >"$dir/redis.sh" <<-EOF
	#!/bin/sh
	# Starts Redis.
	exec "$redis" "$dir/redis.conf"
EOF
chmod +x "$dir/redis.sh"
start redis "$dir/redis.sh"

cat >"$dir/stub.json" <<-EOF
	{"label": "demo", "tokens": {"$credential": ["$source"]}, "sources": {"$source": "Handbook"}}
EOF
go build -trimpath -o "$dir/stub" ./e2e/stub
"$dir/stub" <"$dir/stub.json" >"$dir/stub.log" 2>&1 &
pids+=($!)
wait_for "the fake DocsGPT" stub grep -q '"backend"' "$dir/stub.log"
wait_for Redis redis grep -q "Ready to accept connections" "$dir/redis.log"
wait_for PostgreSQL postgres test -S "$dir/pg/.s.PGSQL.5432"

DOCSGPT="$(sed 's/.*"backend": *"\([^"]*\)".*/\1/' "$dir/stub.log")"
DOCSGATE_ADMIN_TOKEN="$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
export DOCSGPT DOCSGATE_ADMIN_TOKEN DOCSGPT_TOKEN="$credential" LOAD_BALANCER=127.0.0.1/32
export DOCSGATE_STORE_URI="postgres://docsgate@/postgres?host=$dir/pg"
export DOCSGATE_REDIS="redis://:$redis_password@127.0.0.1:$((port + 21))"
DOCSGATE_STORE_SECRET="$(head -c 32 /dev/urandom | base64 -w 0)"
export DOCSGATE_STORE_SECRET

for i in 1 2 3; do
	mkdir "$dir/gate$i"
	cat >"$dir/gate$i.sh" <<-EOF
		#!/bin/sh
		# Starts gate $i.
		export XDG_DATA_HOME="$dir/gate$i" XDG_CONFIG_HOME="$dir/gate$i" GATE_ADMIN="unix/$dir/gate$i/admin"
		export DOCSGATE_STORE_URI='$DOCSGATE_STORE_URI' DOCSGATE_STORE_SECRET=$DOCSGATE_STORE_SECRET DOCSGATE_ADMIN_TOKEN=$DOCSGATE_ADMIN_TOKEN
		export DOCSGATE_REDIS='$DOCSGATE_REDIS' DOCSGPT=$DOCSGPT DOCSGPT_TOKEN=$DOCSGPT_TOKEN LOAD_BALANCER=$LOAD_BALANCER
		export GATE_LISTEN=http://127.0.0.1:$((port + i)) GATE_CONSOLE=http://127.0.0.1:$((port + 10 + i))
		exec "$bin" run --config "$PWD/examples/cluster/gate.Caddyfile"
	EOF
	chmod +x "$dir/gate$i.sh"
	export "GATE_$i=127.0.0.1:$((port + i))" "CONSOLE_$i=127.0.0.1:$((port + 10 + i))"
	start "gate$i" "$dir/gate$i.sh"
done
for i in 1 2 3; do
	wait_for "gate $i" "gate$i" curl -fsS "http://127.0.0.1:$((port + i))/api/health"
done
FRONT_PORT="$port" DEMO="$PWD/demo" XDG_DATA_HOME="$dir/front" XDG_CONFIG_HOME="$dir/front" \
	start front "$bin" run --config demo/cluster/front.Caddyfile
wait_for "the load balancer" front curl -fsS "http://127.0.0.1:$port/"

cat <<-EOF
	The page:            http://127.0.0.1:$port/
	The gates:           http://127.0.0.1:$((port + 1)) to $((port + 3))
	Their consoles:      http://127.0.0.1:$((port + 11)) to $((port + 13)), admin token $DOCSGATE_ADMIN_TOKEN
	The load balancer:   http://127.0.0.1:$port/any/
	Logs:                $dir/*.log

	Try in another terminal:
	  $bin keys list --address unix/$dir/gate2/admin
	  kill -9 ${pids[3]}    # gate 1: the load balancer uses the others
	  $dir/gate1.sh    # gate 1 again
	  kill -INT ${pids[0]}    # the database: known keys stay valid
	  $dir/postgres.sh    # the database again
	  kill -9 ${pids[1]}    # Redis: each gate applies a third of each limit
	  $dir/redis.sh    # Redis again

	Press Ctrl-C to stop.
EOF
wait
