// A small TypeScript lexer for tidy.ts: blanks what is not code, so that a search finds code only. TypeScript 7 offers no parser to JavaScript.

const COMMENT = /\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/y;
const STRING = /'(?:[^'\\\n]|\\[\s\S])*'|"(?:[^"\\\n]|\\[\s\S])*"/y;
/** From a backtick, or the brace that ends a substitution, to the next backtick or substitution. */
const TEMPLATE_PART = /[`}](?:[^`\\$]|\\[\s\S]|\$(?!\{))*(?:`|\$\{)/y;
const REGEX = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y;
/** A slash after this begins a regular expression; after anything else it divides. */
const BEFORE_REGEX = /(?:^|[(,=:[!&|?{};+\-*%~^<>]|\b(?:return|typeof|case|in|of|do|else|void|throw|await|yield|delete|new))$/;

/**
 * Replaces comments, regular expressions and the contents of string and template literals by spaces. Length, line breaks, quotes
 * and template substitutions stay, so that an offset in the result is an offset in the source.
 *
 * @param source - TypeScript source text
 * @returns the source with only its code left
 */
export function maskSource(source: string): string {
  let masked = '';
  let braces = 0;
  /** For each open template substitution: how many braces were open when it began. */
  const substitutions: number[] = [];
  const match = (pattern: RegExp): string | null => {
    pattern.lastIndex = masked.length;
    return pattern.exec(source)?.[0] ?? null;
  };
  const template = (): string | null => {
    const part = match(TEMPLATE_PART);
    if (part === null) return null;
    if (part.endsWith('${')) substitutions.push(braces);
    return `${part[0] ?? ''}${blank(part.slice(1, part.endsWith('${') ? -2 : -1))}${part.endsWith('${') ? '${' : '`'}`;
  };
  const next = (): string => {
    const char = source[masked.length] ?? '';
    switch (char) {
      case '/': {
        const comment = match(COMMENT);
        if (comment !== null) return blank(comment);
        const regex = BEFORE_REGEX.test(masked.slice(-200).trimEnd()) ? match(REGEX) : null;
        return regex === null ? char : blank(regex);
      }
      case "'":
      case '"': {
        const literal = match(STRING);
        return literal === null ? char : quoteBlank(literal);
      }
      case '`':
        return template() ?? char;
      case '{':
        braces += 1;
        return char;
      case '}':
        if (substitutions.at(-1) === braces) {
          substitutions.pop();
          return template() ?? char;
        }
        braces -= 1;
        return char;
      default:
        return char;
    }
  };
  while (masked.length < source.length) masked += next();
  return masked;
}

function quoteBlank(literal: string): string {
  return `${literal[0] ?? ''}${blank(literal.slice(1, -1))}${literal.at(-1) ?? ''}`;
}

function blank(text: string): string {
  return text.replaceAll(/[^\n]/g, ' ');
}
