#!/usr/bin/env bash
# Runs every fuzz target of the module for FUZZTIME (10s) each, and fails if there are none. The go command saves a failing
# input in testdata/fuzz, where it becomes a test case: commit it with the fix.
set -euo pipefail
cd "$(dirname "$0")/.."
fuzztime="${FUZZTIME:-10s}"

# Listing the targets of a package builds its tests, so only packages whose tests contain one are listed.
mapfile -t found < <(find . \( -name node_modules -o -name '.?*' \) -prune -o -name '*_test.go' -print0 |
	xargs -0 grep -lE '^func Fuzz[A-Z0-9_]\w*\(' || true)
mapfile -t packages < <(((${#found[@]})) && printf '%s\n' "${found[@]%/*}" | sort -u)
if ((${#packages[@]} == 0)); then
	echo "no fuzz targets found" >&2
	exit 1
fi
declared="$(cat "${found[@]}" | grep -cE '^func Fuzz[A-Z0-9_]\w*\(')"

ran=0
for package in "${packages[@]}"; do
	listed="$(go test -list '^Fuzz' "$package")"
	mapfile -t targets < <(grep '^Fuzz' <<<"$listed" || true)
	for target in "${targets[@]}"; do
		printf -- '--- %s %s\n' "$package" "$target"
		output="$(mktemp)"
		# Occasionally the go command reports its own deadline as a failure of the target, without a failing input. Such a run
		# is repeated once.
		for try in 1 2; do
			status=0
			go test -run='^$' -fuzz="^$target\$" -fuzztime="$fuzztime" "$package" 2>&1 | tee "$output" || status=$?
			if ((status == 0)) || ((try == 2)) || grep -q 'Failing input' "$output" ||
				! grep -q 'context deadline exceeded' "$output"; then
				break
			fi
			echo "the go command exceeded its own deadline; retrying"
		done
		rm -f "$output"
		((status == 0)) || exit "$status"
		ran=$((ran + 1))
	done
done

if ((ran != declared)); then
	echo "the sources declare $declared fuzz targets, but the go command ran $ran: is one excluded by a build tag?" >&2
	exit 1
fi
echo "$ran fuzz targets ran for $fuzztime each"
