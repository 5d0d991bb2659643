// The check that comes before everything that an old Node would crash on.
import { describe, expect, test } from 'vitest';
import { assertNodeVersion } from '../../src/types/node-version.ts';

describe('the Node version', () => {
  test.each(['22.18.0', '22.19.1', '23.0.0', '24.21.0', '100.0.0'])('%s is new enough', (version) => {
    expect(() => assertNodeVersion(version)).not.toThrow();
  });

  test.each(['20.20.2', '22.17.9', '22.9.0', '8.0.0', ''])('%s is refused with what is needed', (version) => {
    expect(() => assertNodeVersion(version)).toThrow(
      expect.objectContaining({ code: 'NODE_TOO_OLD', message: expect.stringContaining('needs Node 22.18') as unknown }),
    );
  });
});
