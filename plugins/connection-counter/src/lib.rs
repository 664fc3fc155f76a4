//! ConnectionMetricsCollector: TCP connections per process and port.
