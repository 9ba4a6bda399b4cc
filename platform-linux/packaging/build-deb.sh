#!/bin/sh
# Makes a Debian package: build-deb.sh [FOLDER [PROGRAM]]; it lies in FOLDER (target/debian) then. Without PROGRAM, the
# release build is made and packed.
set -eu
umask 022
cd "$(dirname "$0")/../.."
out=${1:-target/debian}
command -v dpkg-deb >/dev/null || { echo "dpkg-deb is not there: install the package dpkg" >&2; exit 1; }
command -v strip >/dev/null || { echo "strip is not there: install the package binutils" >&2; exit 1; }
program=${2:-}
if [ -z "$program" ]; then
    cargo build --release --package ostrakon-linux
    program=${CARGO_TARGET_DIR:-target}/release/ostrakon
fi
version=$("$program" --version | cut -d' ' -f2)
architecture=$(dpkg --print-architecture)
root=$out/root
rm -rf "$root"
mkdir -p "$root/usr/bin" "$root/etc/ostrakon" "$root/usr/share/doc/ostrakon" "$root/DEBIAN"
chmod 700 "$root/etc/ostrakon" # Fence maps and unit files may hold passwords.
install -s -m 755 "$program" "$root/usr/bin/ostrakon" # Nine tenths of it are for debuggers.
"$program" generate "$root"
install -m 644 platform-linux/OPERATING.md core/DESIGN.md core/FORMAT.md LICENSE-APACHE LICENSE-MIT "$root/usr/share/doc/ostrakon/"
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
