#!/bin/sh
# Runs the orchestrator on a machine with two NUMA nodes of two CPUs each (qemu, no KVM needed) and shows that tasks are
# spread over both and kept there. Usage: numa.sh ORCHESTRATOR [WORK_DIRECTORY]; see README.md.
set -eu
program=${1:?usage: numa.sh ORCHESTRATOR [WORK_DIRECTORY]}
work=${2:-$(mktemp -d)}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$work"

need() { command -v "$1" >/dev/null || { echo "numa: $1 is missing: apt-get install $2" >&2; exit 3; }; }
need qemu-system-x86_64 qemu-system-x86
need busybox busybox-static
need cpio cpio

# A kernel with NUMA that boots without modules: Debian's cloud image, unpacked and not installed.
kernel=${KERNEL:-$work/vmlinuz}
if [ ! -e "$kernel" ]; then
    package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
    (cd "$work" && apt-get download "$package" >/dev/null && dpkg-deb -x "$package"_*.deb kernel)
    cp "$work"/kernel/boot/vmlinuz-* "$kernel"
fi

root=$work/root
rm -rf "$root"
mkdir -p "$root/bin" "$root/lib64" "$root/proc" "$root/sys" "$root/dev" "$root/tmp"
cp "$(command -v busybox)" "$root/bin/busybox"
if command -v strip >/dev/null; then strip -o "$root/bin/orchestrator" "$program"; else cp "$program" "$root/bin/orchestrator"; fi
ldd "$program" | sed -n 's/^[^/]*\(\/[^ ]*\) (.*/\1/p' | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
done
cp "$here/numa-init" "$root/init"
chmod 755 "$root/init" "$root/bin/busybox"
(cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) > "$work/initramfs.gz"

timeout "${LIMIT:-300}" qemu-system-x86_64 -accel "${ACCEL:-tcg}" -cpu max -smp 4 -m 1G \
    -object memory-backend-ram,id=m0,size=512M -object memory-backend-ram,id=m1,size=512M \
    -numa node,nodeid=0,cpus=0-1,memdev=m0 -numa node,nodeid=1,cpus=2-3,memdev=m1 \
    -kernel "$kernel" -initrd "$work/initramfs.gz" -append "console=ttyS0 quiet panic=-1" \
    -nographic -no-reboot -net none </dev/null >"$work/console" 2>&1 || true
tr -d '\r' < "$work/console" | sed -n '/^== /,$p'
grep -q '^RESULT ok' "$work/console"
