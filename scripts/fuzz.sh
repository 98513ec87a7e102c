#!/usr/bin/env bash
# Runs every fuzz target of the module for FUZZTIME (10s) each, and fails when there is none. A failing input is kept
# by the go command under testdata/fuzz, where it is a test case from then on: commit it with the mend.
set -euo pipefail
cd "$(dirname "$0")/.."
fuzztime="${FUZZTIME:-10s}"

# Only packages whose tests name a target are asked, because asking builds the test.
mapfile -t found < <(find . \( -name node_modules -o -name '.?*' \) -prune -o -name '*_test.go' -print0 |
	xargs -0 grep -lE '^func Fuzz[A-Z0-9_]\w*\(' || true)
mapfile -t packages < <(((${#found[@]})) && printf '%s\n' "${found[@]%/*}" | sort -u)
if ((${#packages[@]} == 0)); then
	echo "no fuzz target found: there should be some" >&2
	exit 1
fi
written="$(cat "${found[@]}" | grep -cE '^func Fuzz[A-Z0-9_]\w*\(')"

ran=0
for package in "${packages[@]}"; do
	listed="$(go test -list '^Fuzz' "$package")"
	mapfile -t targets < <(grep '^Fuzz' <<<"$listed" || true)
	for target in "${targets[@]}"; do
		printf -- '--- %s %s\n' "$package" "$target"
		output="$(mktemp)"
		# Once in a while the go command reports its own deadline as a failure of the target. That is no finding: it has
		# no failing input. Such a run is done again; twice in a row is a failure.
		for try in 1 2; do
			status=0
			go test -run='^$' -fuzz="^$target\$" -fuzztime="$fuzztime" "$package" 2>&1 | tee "$output" || status=$?
			if ((status == 0)) || ((try == 2)) || grep -q 'Failing input' "$output" ||
				! grep -q 'context deadline exceeded' "$output"; then
				break
			fi
			echo "the go command ran into its own deadline; once more"
		done
		rm -f "$output"
		((status == 0)) || exit "$status"
		ran=$((ran + 1))
	done
done

if ((ran != written)); then
	echo "$written fuzz targets are written, but the go command knows $ran: is one hidden by a build tag?" >&2
	exit 1
fi
echo "$ran fuzz targets ran for $fuzztime each"
