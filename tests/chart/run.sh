#!/usr/bin/env bash
# Installs the chart with a real Helm engine into the stand-in API server, checks what comes out, and runs the scheduler as it is
# configured there. PLIMSOLL names the program; without it the one of the development build is built and used. The tools are fetched once, by pinned hash, into .bin/chart. Where they cannot be had, this says so and lets the caller go on,
# except with CI=true.
set -euo pipefail
cd "$(dirname "$0")/../.."

export PYTHONDONTWRITEBYTECODE=1
python=${PYTHON:-python3}

leave_out() {
    if [ "${CI:-}" = true ]; then
        echo "error: the tests in ${TESTS:-tests/chart} cannot run: $1" >&2
        exit 1
    fi
    echo "left out: THE TESTS IN ${TESTS:-tests/chart} DID NOT RUN: $1" >&2
    exit 0
}

[ "$(uname -sm)" = "Linux x86_64" ] || leave_out "the Helm engine runs on Linux x86_64 only, this is $(uname -sm)"
"$python" -m pip --version >/dev/null 2>&1 || leave_out "$python has no pip to fetch the Helm engine with"

# The folder's name follows the pins and the Python, so a change of either fetches anew.
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
case $version in
    3.11 | 3.12 | 3.13 | 3.14) ;;
    *) leave_out "the pinned packages are for Python 3.11 to 3.14, this is $version (PYTHON names another)" ;;
esac
pins=$(cat tests/chart/requirements.txt tests/chart/helm-engine.txt | sha256sum | cut -c1-12)
tools=.bin/chart/py$version-$pins

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

if [ ! -d "$tools" ]; then
    fetching=$scratch/fetching
    mkdir "$fetching"
    echo "fetching the Helm engine and the manifest schemas (once) ..." >&2
    log=$fetching/log
    "$python" -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes --only-binary=:all: \
        --target "$fetching/tools" --requirement tests/chart/requirements.txt >"$log" 2>&1 &&
        "$python" -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
            --python-version 3.12 --dest "$fetching/wheel" --requirement tests/chart/helm-engine.txt >>"$log" 2>&1 || {
        cat "$log" >&2
        # A package that is not what was pinned is a finding, not a missing network.
        if grep -qi 'do not match the hashes' "$log"; then exit 1; fi
        leave_out "the tools could not be fetched (see above)"
    }
    "$python" -m zipfile --extract "$fetching"/wheel/*.whl "$fetching/tools/helm"
    mkdir -p .bin/chart
    # Moved in one step, so that an interrupted or a second run never sees half of it.
    mv "$fetching/tools" "$tools.$$"
    mv -T "$tools.$$" "$tools" 2>/dev/null || rm -rf "$tools.$$"
fi

if [ -z "${PLIMSOLL:-}" ]; then
    ${CARGO:-cargo} build --locked --quiet
    PLIMSOLL=${CARGO_TARGET_DIR:-target}/debug/plimsoll
fi
export PLIMSOLL

# The engine is a library: `helm` itself is not needed, and not used where it is installed. It takes its environment from the start
# of the process: releases are kept in memory, and nobody's own Helm or cluster configuration is seen; a proxy would be asked for
# loopback addresses too.
unset HTTP_PROXY HTTPS_PROXY ALL_PROXY http_proxy https_proxy all_proxy
export HOME=$scratch HELM_CACHE_HOME=$scratch HELM_CONFIG_HOME=$scratch HELM_DATA_HOME=$scratch KUBECONFIG=/dev/null
export HELM_DRIVER=memory HELM_ENGINE=$tools/helm/helm_sdkpy/_lib/linux-amd64/libhelm_sdkpy.so PYTHONPATH=$tools

# The engine logs every refusal that a test provokes: shown only when something failed. Other tests use the same tools: TESTS is
# the folder that theirs are in.
if ! "$python" tests/chart/main.py "$@" 2>"$scratch/log"; then
    cat "$scratch/log" >&2
    exit 1
fi
