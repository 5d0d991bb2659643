// Pages of history become events; a page that is damaged is found at its first event.
import { describe, expect, it } from 'vitest';
import { HistoryError } from '../../src/types/errors.ts';
import { parseHistoryPages } from '../../src/types/history-text.ts';

describe('pages of history', () => {
  it.each<readonly [readonly string[], readonly unknown[]]>([
    [[], []],
    [['[]'], []],
    [
      ['[1,2]', '[]', '[3]'],
      [1, 2, 3],
    ],
  ])('%j become the events %j in their order', (pages, events) => {
    expect(parseHistoryPages(pages)).toEqual(events);
  });

  it('hold more events than a call has room for arguments', () => {
    const page = `[${Array.from({ length: 300_000 }, () => '0').join(',')}]`;
    expect(parseHistoryPages([page])).toHaveLength(300_000);
  });

  it.each<readonly [readonly string[], number, string]>([
    [['[1,2'], 1, 'its page is not JSON'],
    [['[1,2]', ''], 3, 'its page is not JSON'],
    [['{"length":1}'], 1, 'its page is no array'],
    [['[1]', 'null'], 2, 'its page is no array'],
  ])('%j are refused at event %i: %s', (pages, eventId, reason) => {
    const refused = (): unknown => parseHistoryPages(pages);
    expect(refused).toThrow(HistoryError);
    expect(refused).toThrow(expect.objectContaining({ eventId, message: expect.stringContaining(reason) as unknown }));
  });
});
