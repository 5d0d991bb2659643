// `duraloom/metrics`: metrics of runtimes for Prometheus, by prom-client, which is loaded when a registry is made.
export { metricsHandler, type MetricsHandler, type MetricsHandlerOptions } from './surfaces/metrics/metrics-handler.ts';
export { prometheusRegistry, type MetricsSource, type PrometheusOptions } from './surfaces/metrics/prometheus-registry.ts';
