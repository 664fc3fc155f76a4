//! CustomCapacityCalculator: capacity from user-given limits on any metric.
