//! The traits through which the runtime reaches the outside world.
