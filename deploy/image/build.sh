#!/bin/sh
# The steps of both images; the Dockerfiles run them one by one, and so can any Debian 12 that is somebody's to change.
#
#   build.sh builder     what the next steps need of Debian: Python with its venv module, certificates
#   build.sh tools       /opt/build: uv and hatchling, locked
#   build.sh depend      /opt/reelpress, a virtual environment with what the service needs, locked
#   build.sh package     Reelpress itself, into that environment
#   build.sh system      what runs it: Python, tini, certificates
#   build.sh ffmpeg      Debian's FFmpeg, if its NVENC opens on the driver of the target (NVIDIA_DRIVER)
#   build.sh nvenc FILE  that question alone, of FFmpeg's libavcodec or of a binary that holds it
#   build.sh user        the user and the folders it may write to
set -eu

# The base image's word on whom to trust, not the tools' own: a proxy in between may have a certificate of the house.
export SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt

# Debian's packages without what nobody reads in a container.
install_packages() {
    printf 'path-exclude=/usr/share/%s/*\n' doc info man locale lintian > /etc/dpkg/dpkg.cfg.d/reelpress
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
    apt-get clean
    rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old /var/log/apt /var/log/dpkg.log
}

# The oldest driver that a build's NVENC takes stands in its library as text: "470.57.02" in Debian 12's. Refused here,
# rather than found out by a GPU that is never used.
check_nvenc() {
    oldest=$(LC_ALL=C grep -aoP '\x00[3-9][0-9]{2}\.[0-9]{2}(\.[0-9]{2})?\x00' "$1" | tr -dc '0-9.\n' | sort -V | tail -n 1)
    target=${NVIDIA_DRIVER:?the driver of the target, as 535.216.03}
    if [ -z "$oldest" ] || [ "$(printf '%s\n%s\n' "$oldest" "$target" | sort -V | tail -n 1)" != "$target" ]; then
        echo "The NVENC of this FFmpeg opens from driver ${oldest:-?} on, and the target has $target." >&2
        exit 1
    fi
    echo "The NVENC of this FFmpeg opens from driver $oldest on; the target has $target."
}

case "${1:-}" in
builder)
    install_packages python3 python3-venv ca-certificates
    ;;
tools)
    python3 -m venv /opt/build
    /opt/build/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-build.lock
    ;;
depend)
    python3 -m venv --without-pip /opt/reelpress
    /opt/build/bin/uv pip install --quiet --python /opt/reelpress/bin/python --link-mode copy --compile-bytecode \
        --require-hashes -r requirements-service.lock
    ;;
package)
    /opt/build/bin/python -m pip wheel --quiet --disable-pip-version-check --no-cache-dir --no-deps \
        --no-build-isolation --no-index --wheel-dir /opt/dist .
    /opt/build/bin/uv pip install --quiet --python /opt/reelpress/bin/python --link-mode copy --compile-bytecode \
        --no-deps --no-index /opt/dist/*.whl
    ;;
system)
    install_packages python3 tini ca-certificates
    ;;
ffmpeg)
    install_packages ffmpeg
    check_nvenc "$(ldconfig -p | sed -n 's/.*libavcodec\.so\.[0-9]* .* => //p' | head -n 1)"
    ;;
nvenc)
    check_nvenc "${2:?a file}"
    ;;
user)
    # A number of our own: volumes keep it, and Kubernetes' runAsNonRoot wants one.
    groupadd --gid 10001 reelpress
    useradd --uid 10001 --gid 10001 --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin reelpress
    install -d -o reelpress -g reelpress -m 0750 /data /scratch /cache
    ;;
*)
    sed -n 's/^#   //p' "$0" >&2
    exit 2
    ;;
esac
