#!/usr/bin/env bash
# Packs everything that an image holds: a static binary, certificate authorities, and two folders that it may write.
#
#   bash contrib/container/rootfs.sh BINARY TAR
#
# A tar, since it alone can say owners and modes without root and without a shell in the image.
set -euo pipefail

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree/etc/ssl/certs" "$tree/var/lib/unpage" "$tree/tmp"
cp "$1" "$tree/unpage"
cp /etc/ssl/certs/ca-certificates.crt "$tree/etc/ssl/certs/ca-certificates.crt"
chmod 755 "$tree" "$tree/etc" "$tree/etc/ssl" "$tree/etc/ssl/certs" "$tree/var" "$tree/var/lib" "$tree/unpage"
chmod 644 "$tree/etc/ssl/certs/ca-certificates.crt"
# Pages that wait for their turn, for any user.
chmod 1777 "$tree/tmp"
# Snapshots, for the image's user.
chmod 700 "$tree/var/lib/unpage"

# The same files make the same tar.
pack() { tar --directory "$tree" --mtime="@${SOURCE_DATE_EPOCH:-0}" --sort=name --numeric-owner --no-recursion "$@"; }
pack --create --file "$2" --owner=0 --group=0 etc etc/ssl etc/ssl/certs etc/ssl/certs/ca-certificates.crt tmp unpage var var/lib
pack --append --file "$2" --owner=65532 --group=65532 var/lib/unpage
