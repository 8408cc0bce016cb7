#!/usr/bin/env bash
# Write the Python of every .proto under proto/ into a folder: .ci/generate_proto.sh OUT
# `router/v1/x.proto` becomes OUT/router/v1/x_pb2.py, x_pb2.pyi, x_pb2_grpc.py, x_pb2_grpc.pyi, which import each other
# as `router.v1.x_pb2`: proto/ is only a path for protoc and never a package.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:?usage: .ci/generate_proto.sh OUT}
bin=.venv/bin
mkdir -p "$out"
mapfile -t files < <(find proto -name '*.proto' | sort)
[ ${#files[@]} -gt 0 ] || { echo "generate_proto.sh: no .proto file under proto/" >&2; exit 1; }
"$bin/python" -m grpc_tools.protoc -Iproto \
  --plugin=protoc-gen-mypy="$bin/protoc-gen-mypy" --plugin=protoc-gen-mypy_grpc="$bin/protoc-gen-mypy_grpc" \
  --python_out="$out" --mypy_out=quiet:"$out" --grpc_python_out="$out" --mypy_grpc_out=quiet:"$out" "${files[@]}"
