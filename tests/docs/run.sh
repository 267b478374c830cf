#!/usr/bin/env bash
# Checks the documentation and the examples: commands run against the stand-in API server, data is accepted, links lead somewhere.
# The Helm engine, the other tools and the program come from tests/chart/run.sh; arguments choose pages by a part of their path.
set -euo pipefail
cd "$(dirname "$0")/../.."
export TESTS=tests/docs
exec tests/chart/run.sh "$@"
