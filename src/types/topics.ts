// Topics: names of segments joined by '/', such as 'orders/eu/created'. In a pattern `*` stands for one segment, a final `**` for one or more.
import { ArgumentError } from './errors.ts';
import { MAX_NAME_LENGTH } from './limits.ts';
import { assertText } from './names.ts';

/**
 * Checks a topic.
 *
 * @param topic - segments joined by '/', none empty
 * @returns the topic
 * @throws {ArgumentError} when it is empty, too long, has empty segments or wildcards
 */
export function assertTopic(topic: string): string {
  assertSegments(topic, 'topic');
  if (topic.includes('*')) throw new ArgumentError(`Expected topic without '*', got '${topic}'. Wildcards are for subscriptions`);
  return topic;
}

/**
 * Checks a pattern.
 *
 * @param pattern - a topic in which segments may be `*`, and the last one `**`
 * @returns the pattern
 * @throws {ArgumentError} when it is no topic otherwise, or has a wildcard that is not a whole segment
 */
export function assertTopicPattern(pattern: string): string {
  const segments = assertSegments(pattern, 'topic pattern');
  segments.forEach((segment, index) => {
    const isWildcard = segment === '*' || (segment === '**' && index === segments.length - 1);
    if (segment.includes('*') && !isWildcard) {
      throw new ArgumentError(`Expected '*' to stand for a whole segment, and '**' for the last ones, got '${pattern}'`);
    }
  });
  return pattern;
}

/**
 * Tells whether a pattern has wildcards.
 *
 * @param pattern - a valid pattern
 * @returns false when it matches one topic only
 */
export function hasWildcards(pattern: string): boolean {
  return pattern.includes('*');
}

/**
 * Matches a topic.
 *
 * @param pattern - a valid pattern
 * @param topic - a valid topic
 * @returns true when the pattern covers the topic
 */
export function matchesTopic(pattern: string, topic: string): boolean {
  const wanted = pattern.split('/');
  const given = topic.split('/');
  const isOpen = wanted.at(-1) === '**';
  if (isOpen ? given.length < wanted.length : given.length !== wanted.length) return false;
  return wanted.every((segment, index) => segment === '*' || (isOpen && index === wanted.length - 1) || segment === given[index]);
}

function assertSegments(value: string, what: string): string[] {
  assertText(value, what, MAX_NAME_LENGTH);
  const segments = value.split('/');
  if (segments.includes('')) throw new ArgumentError(`Expected ${what} without empty segments, got '${value}'`);
  return segments;
}
