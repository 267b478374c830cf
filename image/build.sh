#!/usr/bin/env bash
# Makes dist/plimsoll-image.tar, an OCI archive, of dist/plimsoll: by buildah, without a daemon, without root, without a network.
# The last stage of the Dockerfile is all that runs. The same binary and commit give the same bytes.
# OUT names another folder than dist.
set -euo pipefail
cd "$(dirname "$0")/.."
. image/version.sh
. image/tools.sh

out=${OUT:-dist}
most=$((20 * 1024 * 1024))
name=localhost/plimsoll:$version

[ -x dist/plimsoll ] || { echo "error: there is no dist/plimsoll; make static builds it" >&2; exit 1; }
need_buildah
. image/buildah.sh

# Takes the place of the stage that builds.
mkdir -p "$scratch/build/src/dist"
cp dist/plimsoll "$scratch/build/src/dist/plimsoll"

annotations=()
if [ -f dist/plimsoll.cdx.json ]; then
    annotations=(--annotation "plimsoll.sbom.digest=sha256:$(sha256sum dist/plimsoll.cdx.json | cut -d' ' -f1)")
fi

buildah_alone build --quiet --no-cache --pull=never --isolation chroot --timestamp "$SOURCE_DATE_EPOCH" --identity-label=false \
    --signature-policy "$scratch/policy.json" \
    --build-context "build=$scratch/build" --build-arg "VERSION=$version" --build-arg "REVISION=$revision" \
    "${annotations[@]}" --tag "$name" --file Dockerfile "$scratch/build" >/dev/null
buildah_alone push --quiet --signature-policy "$scratch/policy.json" "$name" "oci:$scratch/image:$name" >/dev/null

digest=$(only_digest <"$scratch/image/index.json")
manifest=$scratch/image/blobs/${digest/://}
bytes=$(grep -o '"size":[0-9]*' "$manifest" | cut -d: -f2 | awk '{ sum += $1 } END { print sum }')
if [ "$bytes" -gt "$most" ]; then
    echo "error: the image has $bytes bytes, more than the $most that it may have" >&2
    exit 1
fi

mkdir -p "$out"
tar --create --file "$out/plimsoll-image.tar" --directory "$scratch/image" --format=ustar --sort=name --owner=0 --group=0 \
    --numeric-owner --mode='u=rw,go=r,a+X' --mtime="@$SOURCE_DATE_EPOCH" blobs index.json oci-layout
echo "image: $out/plimsoll-image.tar, $name, $((bytes / 1024)) KiB compressed, digest $digest"
