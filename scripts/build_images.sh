#!/bin/bash
# Builds both Dockerfiles with buildah where no registry can be asked for their bases, and tries what came out.
#
#   sudo scripts/build_images.sh [cpu|cuda]...
#
# The Debian base is made by mmdebstrap from the archive, as Debian's own images are. NVIDIA's base cannot be made: an
# empty file stands in for its CUDA runtime, which FFmpeg does not need. Everything is in a temporary folder, and gone
# at the end; what uv has downloaded before is taken from its cache. Needs root, buildah, mmdebstrap, bubblewrap.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-.venv/bin/python}
work=$(mktemp -d /var/tmp/reelpress-images.XXXXXX)
store=(buildah --root "$work/store" --runroot "$work/run" --storage-driver "${STORAGE_DRIVER:-overlay}")
clean_up() {
    # a build that failed leaves its container mounted, and buildah's own mount outlives it
    awk -v below="$work/" 'index($2, below) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r umount
    rm -rf "$work"
}
trap clean_up EXIT

say() { echo "$(date +%T) $*"; }

# What a container engine would pull: a root in which somebody's own certificates are trusted as they are here.
image_of() {
    local container
    container=$("${store[@]}" from scratch)
    "${store[@]}" add -q "$container" "$1" / >/dev/null
    "${store[@]}" commit -q --rm "$container" "$2" >/dev/null
}

say "Debian's base"
mmdebstrap --quiet --variant=minbase \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --customize-hook="copy-in /usr/local/share/ca-certificates /usr/local/share" bookworm "$work/base.tar"
image_of "$work/base.tar" localhost/debian:base
mkdir -p "$work/cuda/usr/local/cuda-12.2/targets/x86_64-linux/lib"
touch "$work/cuda/usr/local/cuda-12.2/targets/x86_64-linux/lib/libcudart.so.12"
image_of "$work/cuda" localhost/cuda:stand-in

cache=${UV_CACHE_DIR:-$HOME/.cache/uv}
mkdir -p "$cache"
kinds=("$@")
[ $# -gt 0 ] || kinds=(cpu cuda)
for name in "${kinds[@]}"; do
    file=deploy/Dockerfile most_mb=1400
    [ "$name" = cuda ] && file=deploy/Dockerfile.cuda most_mb=1900
    say "$file"
    "${store[@]}" bud --isolation chroot --layers --format docker -f "$file" -t "localhost/reelpress:$name" \
        --build-arg DEBIAN_IMAGE=localhost/debian:base --build-arg CUDA_IMAGE=localhost/cuda:stand-in \
        --volume "$cache:/root/.cache/uv:rw" . > "$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    root=$("${store[@]}" mount "$("${store[@]}" from "localhost/reelpress:$name")")
    say "a start of it"
    "$python" scripts/try_image.py --root "$root" --dockerfile "$file" --most-mb "$most_mb"
done
say "done"
