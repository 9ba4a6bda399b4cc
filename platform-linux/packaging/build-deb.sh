#!/bin/sh
# Builds a Debian package of the release build: build-deb.sh [FOLDER]; the package lies in FOLDER (target/debian) then.
set -eu
cd "$(dirname "$0")/../.."
out=${1:-target/debian}
command -v dpkg-deb >/dev/null || { echo "dpkg-deb is not there: install the package dpkg" >&2; exit 1; }
cargo build --release --package ostrakon-linux
program=${CARGO_TARGET_DIR:-target}/release/ostrakon
version=$("$program" --version | cut -d' ' -f2)
architecture=$(dpkg --print-architecture)
root=$out/root
rm -rf "$root"
mkdir -p "$root/usr/bin" "$root/etc/ostrakon" "$root/usr/share/doc/ostrakon" "$root/DEBIAN"
chmod 700 "$root/etc/ostrakon" # Fence maps and unit files may hold passwords.
install -m 755 "$program" "$root/usr/bin/ostrakon"
"$program" generate "$root"
install -m 644 platform-linux/OPERATING.md core/DESIGN.md core/FORMAT.md "$root/usr/share/doc/ostrakon/"
gzip -9n "$root"/usr/share/man/man1/*.1
cat >"$root/DEBIAN/control" <<CONTROL
Package: ostrakon
Version: $version
Architecture: $architecture
Maintainer: The ostrakon developers <ostrakon@localhost>
Section: admin
Priority: optional
Depends: libc6
Suggests: fence-agents
Description: leader election of hosts through one shared block device
 Runs a program, or the server of a volume, on exactly one of several hosts
 that see one block device, with no other infrastructure.
CONTROL
dpkg-deb --root-owner-group --build "$root" "$out/ostrakon_${version}_$architecture.deb"
