#!/usr/bin/env bash
# Whether this commit may be released under a tag: release-check.sh vX.Y.Z. Writes what CHANGELOG.md says of the version to
# dist/release-notes.md.
set -euo pipefail
cd "$(dirname "$0")/.."
. image/version.sh

tag=${1:-}
if [ "$tag" != "v$version" ]; then
    echo "error: the tag is '$tag', and Cargo.toml has version $version: 'v$version' is wanted (make version sets it)" >&2
    exit 1
fi
if ! grep -Eq "^## \[${version//./\\.}\] - [0-9]{4}-[0-9]{2}-[0-9]{2}\$" CHANGELOG.md; then
    echo "error: CHANGELOG.md has no section '## [$version] - YYYY-MM-DD' (make version VERSION=$version makes it)" >&2
    exit 1
fi
mkdir -p dist
awk -v title="## [$version] " 'index($0, "## [") == 1 { ours = index($0, title) == 1; next } ours' CHANGELOG.md >dist/release-notes.md
if ! grep -q '[^[:space:]]' dist/release-notes.md; then
    echo "error: CHANGELOG.md says nothing of $version" >&2
    exit 1
fi
echo "release-check: $tag is good to release"
