// Measurements of duraloom as instruments of OpenTelemetry. Neighbours: open-telemetry.ts makes one, main/metrics.ts (what comes here), main/metric-catalogue.ts (what it means).
//
// Names: the units that they end with become the units of instruments, `_total` goes. An exporter to Prometheus puts both back, so that names there are
// those of docs/guides/metrics.md.
import type { Meter, MetricOptions } from '@opentelemetry/api';
import type { MetricLabels, MetricPoint } from '../../types/metrics.ts';
import { bucketsByName, describeMetric } from '../../main/metric-catalogue.ts';

type Instrument = (value: number, labels: MetricLabels) => void;

/** Units by the last part of a name. */
const UNITS: ReadonlyMap<string, string> = new Map([
  ['seconds', 's'],
  ['milliseconds', 'ms'],
  ['bytes', 'By'],
  ['ratio', '1'],
]);
/** Longest name of an instrument. */
const MAX_NAME = 255;

/** Passes measurements on to a meter. */
export class MetricBridge {
  readonly #meter: Meter;
  /** By kind and name: a name that user code gives to two kinds is two instruments. Bounded, as the names of a runtime are. */
  readonly #instruments: Readonly<Record<MetricPoint['kind'], Map<string, Instrument>>> = {
    counter: new Map(),
    histogram: new Map(),
    gauge: new Map(),
  };

  /**
   * @param meter - makes the instruments
   */
  constructor(meter: Meter) {
    this.#meter = meter;
  }

  /**
   * Records a measurement.
   *
   * @param point - the measurement
   */
  record({ kind, name, value, labels }: MetricPoint): void {
    const made = this.#instruments[kind];
    let instrument = made.get(name);
    if (instrument === undefined) made.set(name, (instrument = this.#make(kind, name)));
    instrument(value, labels);
  }

  #make(kind: MetricPoint['kind'], given: string): Instrument {
    const { name, unit } = toInstrumentName(given);
    const options: MetricOptions = { unit, description: describeMetric(given)?.help ?? '' };
    switch (kind) {
      case 'counter': {
        const counter = this.#meter.createCounter(name, options);
        return (value, labels) => counter.add(value, labels);
      }
      case 'gauge': {
        const gauge = this.#meter.createGauge(name, options);
        return (value, labels) => gauge.record(value, labels);
      }
      case 'histogram': {
        const advice = { explicitBucketBoundaries: [...bucketsByName(given)] };
        const histogram = this.#meter.createHistogram(name, { ...options, advice });
        return (value, labels) => histogram.record(value, labels);
      }
    }
  }
}

/** Names of user code have letters, digits, `_` and `:`, those of OpenTelemetry begin with a letter and have no `:`. */
function toInstrumentName(given: string): { readonly name: string; readonly unit: string } {
  const parts = given.replaceAll(':', '.').split('_');
  if (parts.length > 1 && parts.at(-1) === 'total') parts.pop();
  const unit = parts.length > 1 ? (UNITS.get(parts.at(-1) ?? '') ?? '') : '';
  const name = (unit === '' ? parts : parts.slice(0, -1)).join('_');
  return { name: (/^[A-Za-z]/.test(name) ? name : `m${name}`).slice(0, MAX_NAME), unit };
}
