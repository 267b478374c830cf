# Sourced, after tools.sh: buildah on storage of its own in $scratch, which goes when the script ends.

scratch=$(mktemp -d)
trap 'chmod -R u+w "$scratch"; rm -rf "$scratch"' EXIT
: >"$scratch/none"
printf '[storage]\ndriver = "vfs"\n' >"$scratch/storage.conf"
echo '{}' >"$scratch/auth.json"
# No image of others is pulled whose signature would have to be looked at.
echo '{"default": [{"type": "insecureAcceptAnything"}]}' >"$scratch/policy.json"

# Whose machine this is makes no difference: no storage, no configuration and no home but the scratch folder's.
buildah_alone() {
    local alone=()
    # A namespace in which we are root, and nobody else is: enough for files of root, and needs no helper with privileges.
    if [ "$(id -u)" != 0 ]; then alone=(unshare --user --map-root-user --mount); fi
    env HOME="$scratch" REGISTRY_AUTH_FILE="$scratch/auth.json" \
        CONTAINERS_CONF="$scratch/none" CONTAINERS_STORAGE_CONF="$scratch/storage.conf" \
        _CONTAINERS_USERNS_CONFIGURED=done _CONTAINERS_ROOTLESS_UID="$(id -u)" \
        "${alone[@]}" buildah --root "$scratch/storage" --runroot "$scratch/run" --storage-driver vfs \
        --registries-conf "$scratch/none" "$@"
}

# The digest of the one image in an OCI layout's index on standard input.
only_digest() {
    grep -o 'sha256:[0-9a-f]\{64\}' | head -1
}
