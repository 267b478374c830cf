#!/usr/bin/env bash
# Builds the image a second time and compares, then runs it as a node would: as 65532, on a read-only root, without capabilities,
# against the stand-in API server. It needs dist/plimsoll-image.tar (`make image`) and the program with its tools (`make build`);
# `make image-test` makes both. FULL=1 also builds the binary a second time, in another folder.
#
# All of it happens in a network namespace of its own, with its own port 53, and in a process namespace that ends with it.
# Where namespaces cannot be had this says so and lets the caller go on, except with CI=true.
set -euo pipefail
cd "$(dirname "$0")/../.."
. image/version.sh
. image/tools.sh

leave_out() {
    if [ "${CI:-}" = true ]; then
        echo "error: the image's tests cannot run: $1" >&2
        exit 1
    fi
    echo "left out: THE IMAGE'S TESTS DID NOT RUN: $1" >&2
    exit 0
}

[ "$(uname -s)" = Linux ] || leave_out "containers are made of Linux's namespaces, this is $(uname -s)"
need_bwrap || leave_out "there is no bubblewrap (see above)"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# unshare makes the namespace of processes and mounts its /proc whole, which containers within need to mount theirs.
alone=(unshare --user --map-root-user --pid --fork --kill-child --mount-proc
    bwrap --dev-bind / / --unshare-net --die-with-parent --cap-add ALL --setenv PYTHONDONTWRITEBYTECODE 1)
if ! "${alone[@]}" true 2>"$scratch/log"; then
    cat "$scratch/log" >&2
    leave_out "users may not make namespaces here (sysctl kernel.apparmor_restrict_unprivileged_userns, user.max_user_namespaces)"
fi

# Twice the same: the image always, the binary on demand, since that takes as long as it takes.
OUT=$scratch/again image/build.sh >/dev/null
cmp dist/plimsoll-image.tar "$scratch/again/plimsoll-image.tar"
echo "image-test: built twice, the image is the same"
if [ -n "${FULL:-}" ]; then
    # What is committed, so that what lies around in a work tree has no part in it.
    mkdir "$scratch/elsewhere"
    git archive HEAD | tar --extract --directory "$scratch/elsewhere"
    OUT=$scratch/second CARGO_TARGET_DIR=$scratch/target "$scratch/elsewhere/image/static.sh"
    cmp dist/plimsoll "$scratch/second/plimsoll"
    echo "image-test: built twice, in two folders, the binary is the same"
fi

"${alone[@]}" "${PYTHON:-python3}" tests/image/main.py "$scratch" "$version" "$revision" "$@"
