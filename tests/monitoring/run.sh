#!/usr/bin/env bash
# Checks the chart's rules with promtool, and lets a real Prometheus scrape schedulers that run as the chart configures them.
# promtool and Prometheus are Debian's, unpacked once into .bin/prometheus; the rest comes from tests/chart/run.sh. Where that cannot
# be had, this says so and lets the caller go on, except with CI=true.
set -euo pipefail
cd "$(dirname "$0")/../.."

leave_out() {
    if [ "${CI:-}" = true ]; then
        echo "error: the monitoring tests cannot run: $1" >&2
        exit 1
    fi
    echo "left out: THE MONITORING TESTS DID NOT RUN: $1" >&2
    exit 0
}

# Prometheus and promtool from PATH, or out of Debian's package; it is enough to unpack that.
tools=.bin/prometheus
if command -v prometheus >/dev/null && command -v promtool >/dev/null; then
    PROMETHEUS=$(command -v prometheus) PROMTOOL=$(command -v promtool)
else
    if [ ! -d "$tools" ]; then
        command -v apt-get >/dev/null && command -v dpkg >/dev/null ||
            leave_out "neither prometheus nor apt-get is installed"
        echo "fetching Prometheus (once) ..." >&2
        mkdir -p .bin
        scratch=$(mktemp -d .bin/prometheus.XXXXXX)
        trap 'rm -rf "$scratch"' EXIT
        log=$PWD/$scratch/log
        # Lists of one's own, so that neither root nor an earlier update is needed.
        mkdir -p "$scratch/lists/partial" "$scratch/archives/partial"
        apt=(apt-get -o Dir::State::Lists="$PWD/$scratch/lists" -o Dir::Cache="$PWD/$scratch" -o Dir::Cache::archives="$PWD/$scratch/archives"
            -o Debug::NoLocking=true -o APT::Sandbox::User="$(id -un)")
        (cd "$scratch" && { apt-get -o APT::Sandbox::User="$(id -un)" download prometheus ||
            { "${apt[@]}" update && "${apt[@]}" download prometheus; }; }) >"$log" 2>&1 &&
            dpkg -x "$scratch"/prometheus_*.deb "$scratch/tree" >>"$log" 2>&1 || {
            cat "$log" >&2
            leave_out "Debian's package prometheus could not be fetched (see above)"
        }
        # Moved in one step, so that an interrupted or a second run never sees half of it.
        mv -T "$scratch/tree" "$tools" 2>/dev/null || [ -d "$tools" ]
        rm -rf "$scratch"
        trap - EXIT
    fi
    PROMETHEUS=$PWD/$tools/usr/bin/prometheus PROMTOOL=$PWD/$tools/usr/bin/promtool
fi
export PROMETHEUS PROMTOOL TESTS=tests/monitoring
exec tests/chart/run.sh "$@"
