#!/usr/bin/env bash
# Build the image without a registry, a daemon or root, and use it: the base is made by mmdebstrap from Debian's packages.
#   apt-get install buildah mmdebstrap uidmap
#   tests/image.sh FOLDER        FOLDER holds what is built; arguments behind it go to `buildah build`
# The figures of the last run are in tests/README.md.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mkdir -p "$1" && cd "$1" && pwd)
shift
for program in buildah mmdebstrap newuidmap; do
    command -v "$program" >/dev/null || { echo "missing: $program; apt-get install buildah mmdebstrap uidmap" >&2; exit 1; }
done
export XDG_RUNTIME_DIR="$folder/run"
mkdir -p -m 0700 "$XDG_RUNTIME_DIR"
images=(buildah --storage-driver vfs --root "$folder/images" --runroot "$folder/run/images")

echo "== base"
test -s "$folder/base.tar" ||
    mmdebstrap --variant=minbase --include=python3,python3-venv,ca-certificates,tzdata bookworm "$folder/base.tar"
base=$("${images[@]}" from scratch)
"${images[@]}" add -q "$base" "$folder/base.tar" / >/dev/null
"${images[@]}" commit -q "$base" localhost/crmbridge-base >/dev/null
"${images[@]}" rm "$base" >/dev/null

echo "== image"
"${images[@]}" build -q --format docker --isolation chroot --build-arg BASE=localhost/crmbridge-base \
    -f "$root/config/Dockerfile" "$@" -t localhost/crmbridge "$root" >/dev/null

echo "== what is in it"
made=$("${images[@]}" from localhost/crmbridge)
trap '"${images[@]}" rm "$made" >/dev/null' EXIT
inside() { "${images[@]}" run --isolation chroot "$made" -- "$@"; }
test "$(inside id -u)" = 10001
inside crmbridge --version
# All extras are installed, from the lock.
inside python -c '
import importlib.metadata as metadata, re, sys
there = {one.name.lower().replace("_", "-") for one in metadata.distributions()}
wanted = {re.match(r"[\w.-]+", one)[0].lower().replace("_", "-") for one in metadata.requires("crmbridge") if not re.search("extra == .(test|docs)", one)}
sys.exit(f"missing: {wanted - there}") if wanted - there else print(f"all {len(wanted)} requirements are there, those of the extras too")'
inside sh -c '! touch /opt/crmbridge/x 2>/dev/null && ! command -v gcc && ! find /opt -perm /6000 | grep .'
story=$(inside crmbridge demo --seconds 5 2>&1)
tail -1 <<<"$story"
echo "== ok"
