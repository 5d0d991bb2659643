// Reads guides: the files and the output that a guide shows, and the links and names that it mentions. Neighbour: tests/guides.test.ts.

/** What a guide shows. */
export type Guide = {
  /** Name of the file without its ending. */
  readonly name: string;
  readonly text: string;
  /** Text of each file that the guide shows, by name; blocks of one name are one file, in order. */
  readonly files: ReadonlyMap<string, string>;
  /** The text block behind `main.ts`: what it prints; null: there is none. */
  readonly output: string | null;
  /** Blocks of TypeScript without a file name: nobody would check them. */
  readonly unnamed: readonly string[];
};

/** A link of a document. */
export type Link = { readonly text: string; readonly path: string; readonly anchor: string | null };

/**
 * Takes a guide apart.
 *
 * @param name - its name
 * @param text - Markdown
 * @returns what it shows
 */
export function readGuide(name: string, text: string): Guide {
  const files = new Map<string, string>();
  const unnamed: string[] = [];
  let output: string | null = null;
  let previous: string | undefined;
  for (const [, language = '', file, body = ''] of text.matchAll(/^```(\w+)(?: (\S+))?\n([^]*?)^```$/gm)) {
    if (language === 'ts' && file === undefined) unnamed.push(body);
    if (language === 'ts' && file !== undefined) files.set(file, `${files.get(file) ?? ''}${body}`);
    if (language === 'text' && previous === 'main.ts') output = body;
    previous = file;
  }
  return { name, text, files, output, unnamed };
}

/**
 * Finds the links of a document to files of this repository.
 *
 * @param text - Markdown
 * @returns the links; those to the web are left out
 */
export function readLinks(text: string): readonly Link[] {
  return [...text.matchAll(/\[([^\]]+)\]\(([^)#\s]*)(?:#([^)\s]+))?\)/g)]
    .map(([, label = '', path = '', anchor]): Link => ({ text: label, path, anchor: anchor ?? null }))
    .filter(({ path }) => !/^[a-z]+:/.test(path));
}

/**
 * Finds the anchors of a document.
 *
 * @param text - Markdown
 * @returns the anchor of each heading
 */
export function readAnchors(text: string): ReadonlySet<string> {
  const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => heading);
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\w -]/g, '')
        .replaceAll(' ', '-'),
    ),
  );
}
