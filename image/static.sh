#!/usr/bin/env bash
# Builds dist/plimsoll, the program as it is shipped: without its tools, without a library that it would need at run time, and the
# same bytes in whatever folder it is built, by the same compilers with the same C library.
#
# It is linked with glibc, not with musl: musl's allocator is slow under threads. A static glibc still resolves host names from
# /etc/hosts and by DNS, and needs no file of its own for that; `make image-test` shows it.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo=${CARGO:-cargo}
# Naming the target keeps the flags away from build scripts and procedural macros, which cannot be static.
target=$(uname -m)-unknown-linux-gnu
out=${OUT:-dist}

# So that the folders of the sources are there to be named below.
$cargo fetch --locked --target "$target"

flags=(-C target-feature=+crt-static "--remap-path-prefix=$PWD=/plimsoll")
for sources in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
    flags+=("--remap-path-prefix=$sources=/crates")
done
# Separated by a character that is in no path.
CARGO_ENCODED_RUSTFLAGS=$(printf '%s\x1f' "${flags[@]}")
export CARGO_ENCODED_RUSTFLAGS=${CARGO_ENCODED_RUSTFLAGS%?}

$cargo build --locked --profile dist --no-default-features --target "$target" --bin plimsoll
mkdir -p "$out"
install -m 0755 "${CARGO_TARGET_DIR:-target}/$target/dist/plimsoll" "$out/plimsoll"
echo "static: $out/plimsoll, $(stat -c %s "$out/plimsoll") bytes, sha256 $(sha256sum "$out/plimsoll" | cut -d' ' -f1)"
