#!/usr/bin/env bash
# Writes dist/plimsoll.cdx.json, the bill of materials of the program as it is shipped (CycloneDX 1.5): every crate with its
# version, licence and checksum. cargo-cyclonedx makes it; what cargo itself says is in the program has to be in it.
set -euo pipefail
cd "$(dirname "$0")/.."
. image/version.sh

cargo=${CARGO:-cargo}
target=$(uname -m)-unknown-linux-gnu
out=${OUT:-dist}
shipped=(--no-default-features --target "$target")

# It writes a file beside each Cargo.toml of the workspace; only the program's own is wanted.
part=bill-of-materials.part
trap 'find . -name "$part.json" -not -path "./target/*" -delete' EXIT
$cargo cyclonedx --quiet --format json --spec-version 1.5 --override-filename "$part" "${shipped[@]}"

mkdir -p "$out"
# Crates of this repository are known by their folder, which is another one for everybody.
sed "s|path+file://$PWD|path+file:///plimsoll|g" "$part.json" >"$out/plimsoll.cdx.json"

missing=0
while read -r name version _; do
    version=${version#v}
    # A package URL may write the plus of a version as it stands or by its number.
    if ! grep -Eq "\"pkg:cargo/$name@${version//+/(\\+|%2B)}[\"?]" "$out/plimsoll.cdx.json"; then
        echo "error: $name $version is built in, and not in the bill of materials" >&2
        missing=1
    fi
done < <($cargo tree --locked --quiet -p plimsoll -e normal "${shipped[@]}" --prefix none --format '{p}' --no-dedupe | sort -u)
if grep -q 'pkg:cargo/plimsoll-apiserver@' "$out/plimsoll.cdx.json"; then
    echo "error: the bill of materials lists the tools, which are not shipped" >&2
    missing=1
fi
[ "$missing" = 0 ] || exit 1
echo "sbom: $out/plimsoll.cdx.json, $(grep -c '"purl"' "$out/plimsoll.cdx.json") components"
