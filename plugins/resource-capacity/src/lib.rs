//! SystemResourceCapacity: how many processes fit under the thresholds.
