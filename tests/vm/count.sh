#!/bin/sh
# Counts what a launch costs in instructions, the kernel's included, on a machine on which each instruction takes one
# nanosecond (qemu -icount), whatever this one does meanwhile. For the orchestrator, a bare loop, and xargs and make where
# they are here. `cargo xtask bench launch-instructions` calls it and makes a table of what it prints: lines
# `count WHO FILES USER SYSTEM`, in clock ticks of 10 ms, that is 10^7 instructions.
# Usage: count.sh ORCHESTRATOR T0 LOOP OWN FEW MANY WORK_DIRECTORY; see README.md.
set -eu
orchestrator=$1 t0=$2 loop=$3 own=$4 few=$5 many=$6 work=$7
here=$(cd "$(dirname "$0")" && pwd)
. "$here/machine.sh"
begin "$here/count-init"
put "$orchestrator" orchestrator
put "$t0" t0
put "$loop" loop
put "$own" own
for peer in xargs make; do
    if command -v $peer >/dev/null; then put "$(command -v $peer)" gnu-$peer; fi
done
echo "$few $many" > "$root/counts"
boot -accel tcg -icount shift=0,sleep=off -smp 1 -m 1G
tr -d '\r' < "$work/console" | grep '^count '
grep -q '^RESULT ok' "$work/console"
