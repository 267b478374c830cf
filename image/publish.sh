#!/usr/bin/env bash
# Publishes what was built: one image for all architectures, and the chart that names it by digest, both signed.
#
#   REGISTRY           where to, such as registry.example.com/team; the image becomes REGISTRY/plimsoll, the chart
#                      REGISTRY/charts/plimsoll
#   REGISTRY_USER, REGISTRY_PASSWORD   the login there
#   OUT                another folder than dist
#   TO=oci:FOLDER      puts the image there instead, and nothing anywhere else: for trying it out
#
# It takes dist/ARCHITECTURE/plimsoll-image.tar and plimsoll.cdx.json, as `make image` made them on a machine of each. Keyless
# signing by cosign takes the identity of the workflow that runs it. Helm and cosign are needed, but for TO.
set -euo pipefail
cd "$(dirname "$0")/.."
. image/version.sh
. image/tools.sh
need_buildah
. image/buildah.sh

# Owners of repositories may have capitals, names of images may not.
registry=${REGISTRY:?where to publish}
registry=${registry,,}
repository=$registry/plimsoll
out=${OUT:-dist}
to=${TO:-docker://$repository:$version}
list=localhost/plimsoll:all

# For the workflow, which attests it next.
say() {
    printf '%s\n' "$@" >>"${GITHUB_OUTPUT:-/dev/null}"
}

if [ -z "${TO:-}" ]; then
    printf %s "$REGISTRY_PASSWORD" | buildah_alone login --username "$REGISTRY_USER" --password-stdin "${registry%%/*}"
fi
buildah_alone manifest create "$list" >/dev/null
for image in "$out"/*/plimsoll-image.tar; do
    architecture=$(basename "$(dirname "$image")")
    buildah_alone manifest add "$list" "oci-archive:$image" >/dev/null
    # The same files under names that say what they are, to be handed out.
    cp "$image" "$out/plimsoll-$version-linux-$architecture.oci.tar"
    cp "$out/$architecture/plimsoll.cdx.json" "$out/plimsoll-$version-linux-$architecture.cdx.json"
done
buildah_alone manifest inspect "$list" >"$scratch/list.json"
for image in "$out"/*/plimsoll-image.tar; do
    architecture=$(basename "$(dirname "$image")")
    digest=$(tar --extract --to-stdout --file "$image" index.json | only_digest)
    say "digest-$architecture=$digest"
    # An image of another architecture under this name would start nowhere, and two of one would hide each other.
    if ! tr -d ' \n' <"$scratch/list.json" | grep -q "\"digest\":\"$digest\",\"platform\":{\"architecture\":\"$architecture\""; then
        echo "error: $image is not for $architecture" >&2
        exit 1
    fi
done
buildah_alone manifest push --all --quiet --signature-policy "$scratch/policy.json" --digestfile "$scratch/digest" "$list" "$to" \
    >/dev/null
digest=$(cat "$scratch/digest")
rm -rf "$out"/*/
echo "publish: $repository:$version@$digest"

IMAGE_REPOSITORY=$repository IMAGE_DIGEST=$digest image/package.sh
if [ -n "${TO:-}" ]; then exit 0; fi

printf %s "$REGISTRY_PASSWORD" | helm registry login --username "$REGISTRY_USER" --password-stdin "${registry%%/*}"
helm push "$out/plimsoll-$version.tgz" "oci://$registry/charts" 2>&1 | tee "$scratch/pushed"
chart=$(only_digest <"$scratch/pushed")

# Into Docker's configuration, where what attests finds it, too.
printf %s "$REGISTRY_PASSWORD" | cosign login --username "$REGISTRY_USER" --password-stdin "${registry%%/*}"
cosign sign --yes --recursive "$repository@$digest"
cosign sign --yes "$registry/charts/plimsoll@$chart"

say "repository=$repository" "digest=$digest" "chart=$registry/charts/plimsoll" "chart-digest=$chart" "version=$version"
