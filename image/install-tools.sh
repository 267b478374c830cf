#!/usr/bin/env bash
# Installs buildah and bubblewrap where apt does that. Elsewhere, and without root, image/tools.sh fetches them or says what is missing.
set -euo pipefail

as_root=()
if [ "$(id -u)" != 0 ]; then as_root=(sudo); fi
"${as_root[@]}" apt-get update --quiet
"${as_root[@]}" apt-get install --quiet --yes --no-install-recommends buildah bubblewrap
# Ubuntu keeps users from making namespaces of their own, which is what both of them do instead of being root.
if [ -e /proc/sys/kernel/apparmor_restrict_unprivileged_userns ]; then
    "${as_root[@]}" sysctl --quiet --write kernel.apparmor_restrict_unprivileged_userns=0
fi
