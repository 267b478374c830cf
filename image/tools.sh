# Sourced: finds the programs that images are built and tried with, or fetches Debian's packages of them into .bin/debian.

# need PROGRAM PACKAGES...: makes PROGRAM callable, or fails and says why.
need() {
    local program=$1
    shift
    if command -v "$program" >/dev/null; then return; fi
    local folder=$PWD/.bin/debian/$program
    if [ ! -d "$folder" ]; then
        command -v apt-get >/dev/null && command -v dpkg >/dev/null || {
            echo "error: there is no $program: install it (apt install $program, dnf install $program)" >&2
            return 1
        }
        echo "fetching $program (once) ..." >&2
        local fetching
        fetching=$(mktemp -d)
        # The lists of packages may be missing altogether, as in a fresh container.
        (cd "$fetching" && { apt-get download "$@" || { apt-get update && apt-get download "$@"; }; }) >"$fetching/log" 2>&1 || {
            cat "$fetching/log" >&2
            rm -rf "$fetching"
            echo "error: $program could not be fetched (see above); install it" >&2
            return 1
        }
        local package
        for package in "$fetching"/*.deb; do dpkg -x "$package" "$fetching/tree"; done
        mkdir -p .bin/debian
        # Moved in one step, so that an interrupted run leaves no half of it.
        mv "$fetching/tree" "$folder.$$"
        mv -T "$folder.$$" "$folder" 2>/dev/null || rm -rf "$folder.$$"
        rm -rf "$fetching"
    fi
    # A program of its own name that brings its libraries along, and lets the programs it starts have theirs.
    mkdir -p .bin/debian/bin
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%q exec %q "$@"\n' \
        "$folder/usr/lib/$(uname -m)-linux-gnu:$folder/lib/$(uname -m)-linux-gnu" "$folder/usr/bin/$program" \
        >".bin/debian/bin/$program.$$"
    chmod +x ".bin/debian/bin/$program.$$"
    mv ".bin/debian/bin/$program.$$" ".bin/debian/bin/$program"
    PATH=$PWD/.bin/debian/bin:$PATH
}

need_buildah() {
    need buildah buildah libsubid4 libgpgme11 libassuan0 libdevmapper1.02.1 libseccomp2
}

need_bwrap() {
    need bwrap bubblewrap libcap2 libselinux1
}
