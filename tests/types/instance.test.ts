// Which statuses are ends.
import { expect, test } from 'vitest';
import { isEnded, type InstanceStatus } from '../../src/types/instance.ts';

test.each<readonly [InstanceStatus, boolean]>([
  ['Pending', false],
  ['Running', false],
  ['Suspended', false],
  ['Quarantined', false],
  ['Completed', true],
  ['Failed', true],
  ['Cancelled', true],
  ['Terminated', true],
])('an instance that is %s has ended: %s', (status, ended) => {
  expect(isEnded(status)).toBe(ended);
});
