# Shared by the scripts of this folder, which set `work` first. What a machine needs besides its first process.

need() { command -v "$1" >/dev/null || { echo "$1 is missing: apt-get install $2" >&2; exit 3; }; }
need qemu-system-x86_64 qemu-system-x86
need busybox busybox-static
need cpio cpio
mkdir -p "$work"

# A kernel that boots without modules: Debian's cloud image, unpacked and not installed.
kernel=${KERNEL:-$work/vmlinuz}
if [ ! -e "$kernel" ]; then
    package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
    (cd "$work" && apt-get download "$package" >/dev/null && dpkg-deb -x "$package"_*.deb kernel)
    cp "$work"/kernel/boot/vmlinuz-* "$kernel"
fi

# Its root directory, empty but for busybox and this first process.
root=$work/root
begin() {
    rm -rf "$root"
    mkdir -p "$root/bin" "$root/lib64" "$root/proc" "$root/sys" "$root/dev" "$root/tmp"
    cp "$(command -v busybox)" "$root/bin/busybox"
    cp "$1" "$root/init"
    chmod 755 "$root/init" "$root/bin/busybox"
}

# Puts a program there, with its libraries: put PROGRAM NAME.
put() {
    if command -v strip >/dev/null; then strip -o "$root/bin/$2" "$1"; else cp "$1" "$root/bin/$2"; fi
    chmod 755 "$root/bin/$2"
    { ldd "$1" 2>/dev/null || true; } | sed -n 's/^[^/]*\(\/[^ ]*\) (.*/\1/p' | while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$library"
    done
}

# Starts it with these options of qemu's; what its console says is left in $work/console.
boot() {
    (cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) > "$work/initramfs.gz"
    timeout "${LIMIT:-900}" qemu-system-x86_64 -cpu max "$@" \
        -kernel "$kernel" -initrd "$work/initramfs.gz" -append "console=ttyS0 quiet panic=-1" \
        -nographic -no-reboot -net none </dev/null >"$work/console" 2>&1 || true
}
