// An OTLP/HTTP receiver in the test process: takes what real exporters post, as JSON, and shows it as a person would read it.
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Attributes by name; numbers as numbers. */
export type OtlpAttributes = Readonly<Record<string, unknown>>;

/** A span as it was received. */
export type OtlpSpan = {
  /** `service.name` of the resource. */
  readonly service: string;
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  /** Empty: none. */
  readonly parentSpanId: string;
  readonly traceState: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: OtlpAttributes;
  readonly events: readonly { readonly name: string; readonly atMs: number; readonly attributes: OtlpAttributes }[];
  /** `unset`, `ok` or `error`, and the message. */
  readonly status: { readonly code: string; readonly message?: string };
};

/** A metric as it was received last. */
export type OtlpMetric = {
  readonly name: string;
  readonly unit: string;
  readonly description: string;
  readonly kind: 'sum' | 'gauge' | 'histogram';
  readonly points: readonly { readonly attributes: OtlpAttributes; readonly value: number; readonly bounds: readonly number[] }[];
};

type Raw = Readonly<Record<string, unknown>>;

/** A receiver that listens. */
export class OtlpReceiver implements AsyncDisposable {
  readonly url: string;
  readonly spans: OtlpSpan[] = [];
  readonly metrics = new Map<string, OtlpMetric>();
  readonly #close: () => Promise<void>;

  private constructor(url: string, close: () => Promise<void>) {
    this.url = url;
    this.#close = close;
  }

  /** Starts one on a free port of this machine. */
  static async listen(): Promise<OtlpReceiver> {
    const server = createServer((request, response) => {
      void readBody(request).then((body) => {
        receiver.#take(request.url ?? '', JSON.parse(body) as Raw);
        response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const receiver = new OtlpReceiver(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, async () => {
      await new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      });
    });
    return receiver;
  }

  /** The only span of a name, among those with these attributes. */
  span(name: string, attributes: OtlpAttributes = {}): OtlpSpan {
    const found = this.spans.filter(
      (span) => span.name === name && Object.entries(attributes).every(([key, value]) => span.attributes[key] === value),
    );
    const [span] = found;
    if (span === undefined || found.length > 1) {
      throw new TypeError(`${found.length} spans '${name}' ${JSON.stringify(attributes)}; there are ${JSON.stringify(this.names())}`);
    }
    return span;
  }

  names(): readonly string[] {
    return this.spans.map(({ name }) => name).toSorted();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
  }

  #take(path: string, body: Raw): void {
    for (const resource of list(body['resourceSpans'])) {
      const service = String(attributesOf(record(resource['resource']))['service.name']);
      for (const scope of list(resource['scopeSpans'])) for (const span of list(scope['spans'])) this.spans.push(toSpan(service, span));
    }
    for (const resource of list(body['resourceMetrics'])) {
      for (const scope of list(resource['scopeMetrics'])) {
        for (const metric of list(scope['metrics'])) this.metrics.set(String(metric['name']), toMetric(metric));
      }
    }
    if (path !== '/v1/traces' && path !== '/v1/metrics') throw new TypeError(`unexpected path ${path}`);
  }
}

const STATUS = ['unset', 'ok', 'error'];

function toSpan(service: string, raw: Raw): OtlpSpan {
  const { code = 0, message } = record(raw['status']);
  return {
    service,
    name: String(raw['name']),
    traceId: String(raw['traceId']),
    spanId: String(raw['spanId']),
    parentSpanId: text(raw['parentSpanId']),
    traceState: text(raw['traceState']),
    startMs: toMs(raw['startTimeUnixNano']),
    endMs: toMs(raw['endTimeUnixNano']),
    attributes: attributesOf(raw),
    events: list(raw['events']).map((event) => ({
      name: String(event['name']),
      atMs: toMs(event['timeUnixNano']),
      attributes: attributesOf(event),
    })),
    status: { code: STATUS[Number(code)] ?? 'unknown', ...(typeof message === 'string' && { message }) },
  };
}

function toMetric(raw: Raw): OtlpMetric {
  const kind = (['sum', 'gauge', 'histogram'] as const).find((name) => name in raw);
  if (kind === undefined) throw new TypeError(`a metric of another kind: ${JSON.stringify(raw)}`);
  const points = list(record(raw[kind])['dataPoints']).map((point) => ({
    attributes: attributesOf(point),
    value: Number(point['asDouble'] ?? point['asInt'] ?? point['count']),
    bounds: (point['explicitBounds'] ?? []) as readonly number[],
  }));
  return { kind, name: String(raw['name']), unit: text(raw['unit']), description: text(raw['description']), points };
}

function attributesOf(raw: Raw): OtlpAttributes {
  return Object.fromEntries(
    list(raw['attributes']).map(({ key, value }) => {
      const [kind, plain] = Object.entries(record(value))[0] ?? [];
      return [String(key), kind === 'intValue' ? Number(plain) : plain];
    }),
  );
}

function list(value: unknown): readonly Raw[] {
  return (value ?? []) as readonly Raw[];
}

function record(value: unknown): Raw {
  return (value ?? {}) as Raw;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function toMs(nanos: unknown): number {
  return Number(BigInt(String(nanos)) / 1_000n) / 1_000;
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
