#!/usr/bin/env bash
# Packs the chart into dist/, the same bytes from the same commit, which `helm package` does not do, and writes dist/checksums.txt
# over everything there is in dist/ to be handed out.
# OUT names another folder than dist.
#
# IMAGE_REPOSITORY and IMAGE_DIGEST, in a release, become the packed chart's defaults: who installs it from there need not name an
# image, and gets the one it was released with.
set -euo pipefail
cd "$(dirname "$0")/.."
. image/version.sh

chart=charts/plimsoll
out=${OUT:-dist}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$out" "$scratch/plimsoll"

# What is committed or about to be, and nothing that lies around; all of it where there is no clone.
if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    git ls-files --cached --others --exclude-standard -z -- "$chart"
else
    find "$chart" -type f -print0
fi | sed --null-data "s|^$chart/||" >"$scratch/files"
tar --create --directory "$chart" --null --files-from "$scratch/files" --file - | tar --extract --directory "$scratch/plimsoll"

# set_image FIELD VALUE: the default of image.FIELD, which is empty in the repository.
set_image() {
    [ -n "$2" ] || return 0
    sed -i "/^image:/,/^[^ #]/s|^  $1: \"\"\$|  $1: \"$2\"|" "$scratch/plimsoll/values.yaml"
    grep -q "^  $1: \"$2\"\$" "$scratch/plimsoll/values.yaml" || {
        echo "error: values.yaml has no line \`$1: \"\"\` under image" >&2
        return 1
    }
}
set_image repository "${IMAGE_REPOSITORY:-}"
set_image digest "${IMAGE_DIGEST:-}"

tar --create --directory "$scratch" --format=ustar --sort=name --owner=0 --group=0 --numeric-owner --mode='u=rw,go=r,a+X' \
    --mtime="@$SOURCE_DATE_EPOCH" plimsoll | gzip --no-name --best >"$out/plimsoll-$version.tgz"

(cd "$out" && find . -type f ! -name checksums.txt -printf '%P\n' | LC_ALL=C sort | xargs -d '\n' sha256sum >checksums.txt)
echo "package: $out/plimsoll-$version.tgz; $out/checksums.txt has $(wc -l <"$out/checksums.txt") files"
