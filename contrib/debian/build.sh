#!/usr/bin/env bash
# Packs a built binary as a Debian package; needs debhelper and dpkg-dev, and no compiler.
#
#   bash contrib/debian/build.sh BINARY FOLDER
#
# The binary must run here: it writes its manual pages and completions itself. The package goes into FOLDER.
set -euo pipefail

binary=$(realpath "$1")
folder=$(mkdir -p "$2" && realpath "$2")
cd "$(dirname "$0")/../.."

# A version that grew from this one sorts behind it: UNPAGE_VERSION is for tests of upgrades.
version=${UNPAGE_VERSION:-$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)}
# The date of the commit, so that a package can be built again byte for byte.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
source=$tree/unpage-$version

mkdir "$source"
cp -R contrib/debian/debian "$source/debian"
cp contrib/systemd/unpage.service contrib/systemd/unpage.socket "$source/debian/"
cp contrib/unpage.toml "$source/"
cp config/unpage.toml "$source/every-key.toml"
install -m 755 "$binary" "$source/unpage"
"$binary" man "$source/man"
mkdir "$source/completions"
"$binary" completions bash >"$source/completions/unpage"
"$binary" completions fish >"$source/completions/unpage.fish"
"$binary" completions zsh >"$source/completions/_unpage"
sed "s/VERSION/$version/; s/DATE/$(date -uRd "@$SOURCE_DATE_EPOCH")/" contrib/debian/changelog.in >"$source/debian/changelog"

(cd "$source" && dpkg-buildpackage --build=binary --no-sign --no-check-builddeps)
mv "$tree"/unpage_*.deb "$folder/"
