#!/usr/bin/env bash
# Renders the chart with a real Helm engine against a small fake API server, and checks what comes out.
set -euo pipefail
cd "$(dirname "$0")/../.."

tests=chart
. tests/chart/tools.sh

# The engine logs every refusal that a test provokes: shown only when something failed.
if ! "$python" tests/chart/main.py "$@" 2>"$scratch/log"; then
    cat "$scratch/log" >&2
    exit 1
fi
