// The order of texts by Unicode code points, in which the store lists things. JavaScript compares UTF-16 units, which differs above U+FFFF.

/**
 * Compares two texts.
 *
 * @param left - a text
 * @param right - another
 * @returns negative when `left` comes first, positive when `right` does, 0 for equal ones
 */
export function compareCodePoints(left: string, right: string): number {
  const length = Math.min(left.length, right.length);
  for (let index = 0; index < length; index += 1) {
    const [leftUnit, rightUnit] = [left.charCodeAt(index), right.charCodeAt(index)];
    if (leftUnit !== rightUnit) return rankOf(leftUnit) - rankOf(rightUnit);
  }
  return left.length - right.length;
}

/** Surrogates stand for code points behind all others of 16 bits. */
function rankOf(unit: number): number {
  const isSurrogate = unit >= 0xd8_00 && unit <= 0xdf_ff;
  return isSurrogate ? unit + 0x1_00_00 : unit;
}
