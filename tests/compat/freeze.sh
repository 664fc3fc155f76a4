#!/bin/sh
# Builds one exhibit against one commit and puts the result into frozen/:
#   freeze.sh exhibits/1.0.0 8cce2d1        → frozen/museum-1.0.0.so
#   freeze.sh hosts/1.0.0 8cce2d1           → frozen/host-1.0.0
# A file `contract.patch` in the exhibit is applied to the commit's tree first. Needs git, cargo and the toolchain of
# the commit; x86-64 Linux.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exhibit=$here/${1%/} commit=$2
version=${exhibit##*/}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
mkdir "$place/contract"
git -C "$(git -C "$here" rev-parse --show-toplevel)" archive "$commit" | tar -x -C "$place/contract"
[ ! -f "$exhibit/contract.patch" ] || patch -s -p1 -d "$place/contract" <"$exhibit/contract.patch"
cp -r "$exhibit" "$place/exhibit"
# Beside the contract lies its lock file: the exhibit starts from the same versions of everything.
[ -f "$exhibit/Cargo.lock" ] || cp "$place/contract/Cargo.lock" "$place/exhibit/Cargo.lock"
locked=$([ -f "$exhibit/Cargo.lock" ] && echo --locked || true)
# No path of this machine in what is committed.
export RUSTFLAGS="--remap-path-prefix=$place=/museum --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
cargo build --quiet --release $locked --manifest-path "$place/exhibit/Cargo.toml" --target-dir "$place/target"
cp "$place/exhibit/Cargo.lock" "$exhibit/Cargo.lock"
case $1 in
    hosts/*) cp "$place/target/release/museum-host" "$here/frozen/host-$version" ;;
    *) cp "$place"/target/release/lib*.so "$here/frozen/museum-$version.so" ;;
esac
ls -l "$here/frozen"
