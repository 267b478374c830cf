#!/usr/bin/env bash
# Dependencies go down only: plugins -> framework <- engine, the root package on top, the stand-in beside them.
# A crate that pulls in what it must not know fails here, by whatever way the dependency came.
set -euo pipefail
cd "$(dirname "$0")/.."

failures=0

# must_not CRATE WORDS...: none of the crates named WORD is among CRATE's normal dependencies, direct or not.
must_not() {
    local crate=$1
    shift
    local tree
    tree=$(cargo tree --locked --quiet -p "$crate" -e normal --prefix none --format '{p}' | awk '{ print $1 }' | sort -u)
    for word in "$@"; do
        if grep -qx "$word" <<<"$tree"; then
            echo "layers: $crate must not depend on $word:"
            cargo tree --locked --quiet -p "$crate" -e normal -i "$word" | head -5
            failures=$((failures + 1))
        fi
    done
}

# No I/O, clock or randomness below the shell.
outside=(tokio hyper kube kube-client k8s-openapi reqwest rand getrandom fastrand chrono jiff time anyhow)
must_not plimsoll-framework "${outside[@]}" plimsoll-plugins plimsoll-engine plimsoll-apiserver plimsoll-testkit plimsoll
must_not plimsoll-plugins "${outside[@]}" plimsoll-engine plimsoll-apiserver plimsoll-testkit plimsoll
must_not plimsoll-engine "${outside[@]}" plimsoll-plugins plimsoll-apiserver plimsoll-testkit plimsoll
# The stand-in knows none of ours, and no client.
must_not plimsoll-apiserver kube kube-client plimsoll-framework plimsoll-plugins plimsoll-engine plimsoll-testkit plimsoll
# Builders know nobody, so that everybody's tests can use them.
must_not plimsoll-testkit "${outside[@]}" plimsoll-framework plimsoll-plugins plimsoll-engine plimsoll-apiserver plimsoll
# Other people's schedulers get the scheduler, not its tools.
must_not custom-scheduler plimsoll-apiserver plimsoll-testkit indicatif
# One TLS, one crypto.
must_not plimsoll aws-lc-rs aws-lc-sys openssl openssl-sys native-tls

if [ "$failures" -gt 0 ]; then
    echo "layers: $failures dependencies in the wrong direction"
    exit 1
fi
echo "layers: dependencies go down only"
