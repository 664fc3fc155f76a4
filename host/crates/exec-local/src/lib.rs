//! Spawn, watch, reap and stop process trees on this machine.
