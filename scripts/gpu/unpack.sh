# Sourced in the root of a copy of the repository that has no node_modules: puts node on PATH and the packed tree in its place.
#   source .gpu/unpack.sh
gpu_pack=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
gpu_node=${GPU_NODE:-/tmp/mswitch-node}
# Where there is no xz, Python's lzma stands in.
gpu_unxz() { if command -v xz >/dev/null; then xz -dc "$1"; else python3 -c 'import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.argv[1]), sys.stdout.buffer)' "$1"; fi; }
mkdir -p "$gpu_node/bin" "$gpu_node/include/node"
[ -x "$gpu_node/bin/node" ] || { gpu_unxz "$gpu_pack/node.xz" > "$gpu_node/bin/node.part" && chmod +x "$gpu_node/bin/node.part" && mv "$gpu_node/bin/node.part" "$gpu_node/bin/node"; }
gpu_unxz "$gpu_pack/headers.tar.xz" | tar -x -C "$gpu_node/include/node"
gpu_unxz "$gpu_pack/tree.tar.xz" | tar -x
mkdir -p node_modules/@mswitch && ln -sfn ../../packages/tfjs-backend-torch node_modules/@mswitch/tfjs-backend-torch
export PATH="$gpu_node/bin:$PATH"
echo "node $(node --version)"
