#!/usr/bin/env bash
# Tries to publish every crate, short of uploading it: each is packed, unpacked and built from what was packed. Then looks at what is
# in the packages. Needs the registry's index, and no login.
set -euo pipefail
cd "$(dirname "$0")/.."
. image/version.sh

cargo=${CARGO:-cargo}
target=${CARGO_TARGET_DIR:-target}
largest_file=$((256 * 1024))
failures=0

complain() {
    echo "publish-check: $*" >&2
    failures=$((failures + 1))
}

rm -rf "$target"/package/plimsoll* "$target"/package/tmp-*
# What is not committed yet is tried as well: CI has nothing such.
$cargo publish --workspace --dry-run --locked --allow-dirty

crates=()
for manifest in Cargo.toml crates/*/Cargo.toml; do
    crates+=("$(sed -n '/^\[package\]/,/^\[/s/^name = "\(.*\)"/\1/p' "$manifest")")
done
for crate in "${crates[@]}"; do
    # Where a publication that is only tried leaves them is cargo's own business, and has changed.
    package=$(find "$target/package" -name "$crate-$version.crate" -print -quit)
    if [ -z "$package" ]; then
        complain "$crate was not packed"
        continue
    fi
    files=$(tar --list --verbose --numeric-owner --file "$package" | awk '{ size = $3; sub(/^[^\/]*\//, "", $6); print size, $6 }')
    for wanted in README.md LICENSE src/lib.rs; do
        grep -q " $wanted\$" <<<"$files" || complain "$crate lacks $wanted"
    done
    # Everything is a source but for what cargo and the licence want; test data is left in the repository.
    while read -r size name; do
        case $name in
            Cargo.toml | Cargo.toml.orig | Cargo.lock | .cargo_vcs_info.json | README.md | LICENSE | src/*.rs | benches/*.rs) ;;
            *) complain "$crate has $name, which nobody needs who builds it" ;;
        esac
        [ "$size" -le "$largest_file" ] || complain "$crate has $name of $size bytes"
    done <<<"$files"
    echo "publish-check: $crate, $(wc -l <<<"$files") files, $(($(stat -c %s "$package") / 1024)) KiB"
done
if [ "$failures" -gt 0 ]; then exit 1; fi
echo "publish-check: ${#crates[@]} crates could be published"
