#!/usr/bin/env bash
# Checks the documentation and the examples: commands run against the stand-in API server, data is accepted, links lead somewhere.
# What the marks above blocks mean is said in main.py. PLIMSOLL names a program to run instead of the one that is built here.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ -z "${PLIMSOLL:-}" ]; then
    ${CARGO:-cargo} build --locked --quiet
    PLIMSOLL=${CARGO_TARGET_DIR:-target}/debug/plimsoll
fi
PLIMSOLL=$(realpath "$PLIMSOLL")
export PLIMSOLL

tests=documentation
. tests/chart/tools.sh
export PYTHONPATH=$PYTHONPATH:tests/chart

# The engine logs what goes on: shown only when something failed.
if ! "$python" tests/docs/main.py "$@" 2>"$scratch/log"; then
    cat "$scratch/log" >&2
    exit 1
fi
