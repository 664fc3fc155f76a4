//! Readers of /proc, cgroups and pressure: system-wide and per process tree.
