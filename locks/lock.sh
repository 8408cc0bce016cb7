#!/usr/bin/env bash
# Write one lock per extra: the exact version of every package it needs, its dependencies' too.
#   locks/lock.sh            newest versions that pyproject.toml allows
#   locks/lock.sh --keep     keep what is locked, add only what is missing (after adding a dependency)
# All but vllm are resolved together first, so that a package has one version in every lock and any set of extras installs
# side by side. The result is valid for every Python and platform that pyproject.toml allows (environment markers inside).
set -euo pipefail
cd "$(dirname "$0")/.."
uv=${UV:-.venv/bin/uv}
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
compile=("$uv" pip compile -q --universal --python-version 3.11 --no-annotate --no-header --no-emit-index-url)
together=(train postgres otel embed dev)

touch "$work/all.txt" "$work/vllm.txt"
if [ "${1:-}" = --keep ]; then
  for name in core "${together[@]}"; do cat "locks/$name.txt" 2>/dev/null || true; done | grep -v '^#' | sort -u >"$work/all.txt"
  cp locks/vllm.txt "$work/vllm.txt" 2>/dev/null || true
fi

echo "resolving core ${together[*]} together" >&2
"${compile[@]}" pyproject.toml "${together[@]/#/--extra=}" -o "$work/all.txt"

write() { # NAME SUMMARY, packages on standard input
  { printf '# %s\n# Written by `make lock`; do not edit.\n' "$2"; cat; } >"locks/$1.txt"
}
"${compile[@]}" pyproject.toml -c "$work/all.txt" | write core "core: what the service needs"
for extra in "${together[@]}"; do # an extra's lock is complete in itself, without core's packages unless it needs them
  python3 - "$extra" >"$work/$extra.in" <<'PY'
import sys, tomllib
with open("pyproject.toml", "rb") as file:
    print("\n".join(tomllib.load(file)["project"]["optional-dependencies"][sys.argv[1]]))
PY
  "${compile[@]}" "$work/$extra.in" -c "$work/all.txt" | write "$extra" "$extra: the extra of this name in pyproject.toml"
done
echo "resolving vllm" >&2
python3 - >"$work/vllm.in" <<'PY'
import tomllib
with open("pyproject.toml", "rb") as file:
    print("\n".join(tomllib.load(file)["project"]["optional-dependencies"]["vllm"]))
PY
"${compile[@]}" "$work/vllm.in" -o "$work/vllm.txt"
write vllm "vllm: model servers on GPU hosts, an environment of its own" <"$work/vllm.txt"
