#!/usr/bin/env bash
# completions.sh BINARY FOLDER: writes shell completions to FOLDER/completions and compressed manual pages to FOLDER/man. BINARY is a
# docsgate that this machine can execute. With SOURCE_DATE_EPOCH in the environment the output depends only on the binary.
set -euo pipefail
binary=${1:?the binary} folder=${2:?the folder}

rm -rf "$folder/completions" "$folder/man"
mkdir -p "$folder/completions" "$folder/man"
"$binary" completion bash >"$folder/completions/docsgate.bash"
"$binary" completion fish >"$folder/completions/docsgate.fish"
"$binary" completion zsh >"$folder/completions/_docsgate"

"$binary" manpage --directory "$folder/man"
# Commands of Caddy that do not work in docsgate.
rm "$folder"/man/docsgate-{upgrade,add-package,remove-package}.8
# Caddy writes its own name, and no description of the root command.
sed --in-place --regexp-extended \
	-e 's/^\.TH "Caddy"/.TH "DOCSGATE"/' \
	-e 's/^docsgate -$/docsgate - API-key gate in front of DocsGPT/' \
	-e 's/^  \$ caddy /  $ docsgate /' \
	-e 's/\\fBdocsgate-(upgrade|add-package|remove-package)\(8\)\\fP, //g' "$folder"/man/*.8
gzip --best --no-name "$folder"/man/*.8
