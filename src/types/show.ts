// Shows what a caller passed in the message of an error. Anything may come, also what throws as soon as it is looked at. Neighbour: arguments.ts.

/** Longest text, in UTF-16 units. */
const MAX_UNITS = 200;
/** How deep objects are shown, and how many of their fields. */
const MAX_DEPTH = 3;
const MAX_FIELDS = 10;

/**
 * Describes a value. Never throws.
 *
 * @param value - anything
 * @returns short text: quoted for a string, as in code for most others
 */
export function show(value: unknown): string {
  const text = describe(value, MAX_DEPTH);
  return text.length > MAX_UNITS ? `${text.slice(0, MAX_UNITS)}…` : text;
}

function describe(value: unknown, depthLeft: number): string {
  switch (typeof value) {
    case 'string':
      return `'${value.length > MAX_UNITS ? `${value.slice(0, MAX_UNITS)}…` : value}'`;
    case 'object':
      return value === null ? 'null' : describeObject(value, depthLeft);
    case 'function':
      return 'a function';
    case 'bigint':
      return `${value}n`;
    case 'number':
    case 'boolean':
    case 'symbol':
    case 'undefined':
      return String(value);
  }
}

function describeObject(value: object, depthLeft: number): string {
  try {
    if (Array.isArray(value)) {
      const items = value.slice(0, MAX_FIELDS).map((item: unknown) => (depthLeft === 0 ? '…' : describe(item, depthLeft - 1)));
      return `[${items.join(', ')}${value.length > MAX_FIELDS ? ', …' : ''}]`;
    }
    const tag = Object.prototype.toString.call(value).slice(8, -1);
    if (tag !== 'Object') return `a ${tag}`;
    const names = Object.keys(value);
    const fields = names.slice(0, MAX_FIELDS).map((name) => {
      const field = (value as Readonly<Record<string, unknown>>)[name];
      return `${name}: ${depthLeft === 0 ? '…' : describe(field, depthLeft - 1)}`;
    });
    return `{${fields.join(', ')}${names.length > MAX_FIELDS ? ', …' : ''}}`;
  } catch {
    return 'an object that cannot be read';
  }
}
