#!/bin/sh
# Runs the orchestrator on a machine with two NUMA nodes of two CPUs each (qemu, no KVM needed) and shows that tasks are
# spread over both and kept there. Usage: numa.sh ORCHESTRATOR [WORK_DIRECTORY]; see README.md.
set -eu
program=${1:?usage: numa.sh ORCHESTRATOR [WORK_DIRECTORY]}
work=${2:-$(mktemp -d)}
here=$(cd "$(dirname "$0")" && pwd)
. "$here/machine.sh"
begin "$here/numa-init"
put "$program" orchestrator
boot -accel "${ACCEL:-tcg}" -smp 4 -m 1G \
    -object memory-backend-ram,id=m0,size=512M -object memory-backend-ram,id=m1,size=512M \
    -numa node,nodeid=0,cpus=0-1,memdev=m0 -numa node,nodeid=1,cpus=2-3,memdev=m1
tr -d '\r' < "$work/console" | sed -n '/^== /,$p'
grep -q '^RESULT ok' "$work/console"
