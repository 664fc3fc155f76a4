//! SystemMetricsCollector: CPU, memory, I/O and process counts.
