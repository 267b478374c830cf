#!/usr/bin/env bash
# Sets the version everywhere: set-version.sh X.Y.Z. Cargo.toml is where it lives; the other places cannot read it from there.
# tests/release.rs fails when one of them differs.
set -euo pipefail
cd "$(dirname "$0")/.."
. image/version.sh

new=${1:-}
if ! [[ $new =~ ^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?$ ]]; then
    echo "error: '$new' is no version such as 1.2.3 (make version VERSION=1.2.3)" >&2
    exit 2
fi
old=${version//./\\.}

sed -i -e "/^\[workspace\.package\]/,/^\[/s/^version = \"$old\"/version = \"$new\"/" \
    -e "s/^\(plimsoll[a-z-]* = { version = \"\)$old\"/\1$new\"/" Cargo.toml
# Crates of this repository are those that come from nowhere: no line `source`.
for lock in Cargo.lock fuzz/Cargo.lock; do
    awk -v RS= -v ORS='\n\n' -v old="$old" -v new="$new" \
        '!/\nsource = / { sub("\nversion = \"" old "\"", "\nversion = \"" new "\"") } { print }' "$lock" |
        sed -e '$ { /^$/d }' >"$lock.new"
    mv "$lock.new" "$lock"
done
sed -i -e "s/^version: $old\$/version: $new/" -e "s/^appVersion: \"$old\"\$/appVersion: \"$new\"/" charts/plimsoll/Chart.yaml
sed -i "s/^Version $old\./Version $new./" README.md
sed -i -e "s/^\(plimsoll = { version = \"\)$old\"/\1$new\"/" -e "s/^\(plimsoll-framework = \"\)$old\"/\1$new\"/" docs/writing-a-plugin.md
# Names of images and of packed charts in the documentation.
find README.md docs charts/plimsoll/README.md -name '*.md' -exec sed -i "s/\(plimsoll[:-]\)$old\b/\1$new/g" {} +
# What was not released yet is what the new version has.
if ! grep -q "^## \[$new\]" CHANGELOG.md; then
    sed -i "s/^## \[Unreleased\]\$/&\n\n## [$new] - $(date --utc +%F)/" CHANGELOG.md
fi
echo "version: $version -> $new; look at git diff, and at CHANGELOG.md"
