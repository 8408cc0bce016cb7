#!/usr/bin/env bash
# Fail when the committed Python of the wire is not what proto/ generates.
set -euo pipefail
cd "$(dirname "$0")/.."
fresh=$(mktemp -d) && trap 'rm -rf "$fresh"' EXIT
.ci/generate_proto.sh "$fresh"
diff -r --brief --exclude=__init__.py --exclude=__pycache__ "$fresh/router/v1" router/v1 >&2 ||
  { echo "router/v1 differs from what proto/ generates: run \`make proto\` and commit the result" >&2; exit 1; }
echo "generated code is up to date"
