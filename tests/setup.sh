#!/usr/bin/env bash
# The Debian packages that the build needs, installed where they are missing.
#
#   tests/setup.sh            for the programs
#   tests/setup.sh check      for the tests too
#   tests/setup.sh --check    installs nothing: says what is missing and how to get it
#
# Touches the network only when something is missing. As root it installs; otherwise through sudo
# where that is possible, else it prints the command and fails.
set -euo pipefail

install=yes libraries=(lua5.4 libcjson libxxhash libpcre2-8 libutf8proc)
case "${1-}" in
--check) install=no ;;
check) libraries+=(check) ;;
'') ;;
*)
    echo "usage: tests/setup.sh [check | --check]" >&2
    exit 2
    ;;
esac

compiler=${CC:-gcc} config=${PKG_CONFIG:-pkg-config}
missing=()
command -v "${compiler%% *}" >/dev/null || missing+=("${compiler%% *}" libc6-dev)
command -v make >/dev/null || missing+=(make)
command -v "$config" >/dev/null || missing+=(pkg-config)
for library in "${libraries[@]}"; do
    "$config" --exists "$library" 2>/dev/null && continue
    case $library in
    lua5.4) missing+=(liblua5.4-dev) ;;
    check) missing+=(check) ;;
    libpcre2-8) missing+=(libpcre2-dev) ;;
    *) missing+=("$library-dev") ;;
    esac
done
[ ${#missing[@]} -gt 0 ] || exit 0

by_hand="apt-get update && apt-get install -y ${missing[*]}"
refuse() {
    echo "error: $1: ${missing[*]}" >&2
    echo "install with (as root): $by_hand" >&2
    exit 1
}

[ $install = yes ] || refuse "missing packages"
case $compiler in
gcc | gcc-[0-9]* | clang | clang-[0-9]*) ;;
*) command -v "${compiler%% *}" >/dev/null || refuse "compiler $compiler not found" ;;
esac
command -v apt-get >/dev/null || refuse "missing packages, and no apt-get (Debian's names)"

root=()
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || refuse "missing packages, and neither root nor sudo"
    root=(sudo)
    [ -t 0 ] || root=(sudo -n)
    "${root[@]}" true || refuse "missing packages, and sudo refused"
fi
echo "setup: installing ${missing[*]}"
apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q)
"${apt[@]}" update </dev/null >/dev/null || echo "setup: apt-get update failed, trying without" >&2
"${apt[@]}" install -y --no-install-recommends "${missing[@]}" </dev/null >/dev/null ||
    refuse "apt-get could not install"
