#!/bin/sh
# What a container starts with: secrets from files, a folder for what its processes share, the doctor's word in the
# log, then the command. REELPRESS_START_CHECK is `auto` (say what works, and do not wait for it), `require` (do not
# start where no GPU encodes) or `off`.
set -eu

# NAME_FILE holds what NAME is to be: the manner of secrets that Compose and Kubernetes mount.
for name in REELPRESS_DATABASE_URL REELPRESS_API_KEY AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY; do
    file=$(printenv "${name}_FILE" || true)
    if [ -n "$file" ]; then
        value=$(cat "$file")
        export "$name=$value"
        unset "${name}_FILE"
    fi
done

# A mounted volume may belong to root, and locks of GPUs must be in a folder that is ours alone.
export XDG_RUNTIME_DIR="${REELPRESS_SCRATCH_DIR:-/scratch}/run"
mkdir -p "$XDG_RUNTIME_DIR"
chmod 700 "$XDG_RUNTIME_DIR"

check=${REELPRESS_START_CHECK:-auto}
case "$check" in auto | require | off) ;; *)
    echo "REELPRESS_START_CHECK cannot be '$check'; accepted: auto, require, off." >&2
    exit 2
    ;;
esac
case "${1:-}" in
serve | worker)
    # A server that does no jobs needs no encoder.
    [ "${REELPRESS_WORKER_JOBS:-}" = 0 ] && [ "$check" = auto ] && check=off
    [ "${REELPRESS_LOG_FORMAT:-json}" = text ] && form="" || form=--json
    # shellcheck disable=SC2086 # no option at all is none, not an empty one
    case "$check" in
    auto) (reelpress doctor $form >&2 &) ;; # its parent is then process 1, which reaps it
    require) reelpress doctor --hardware require $form >&2 || {
        echo "No GPU encodes here, and REELPRESS_START_CHECK=require." >&2
        exit 4
    } ;;
    esac
    ;;
esac
exec reelpress "$@"
