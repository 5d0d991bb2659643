// Serves the files of the dashboard from a folder. Neighbour: app.ts asks it for what no route has.
//
// The list of files is made once: a request can only name what is in it, so that no path leads out of the folder.
import { readdirSync, readFileSync } from 'node:fs';
import { extname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { OptionError } from '../../types/errors.ts';
import { toFailure } from '../../types/failure.ts';

const CONTENT_TYPES: ReadonlyMap<string, string> = new Map([
  ['.html', 'text/html; charset=utf-8'],
  ['.js', 'text/javascript; charset=utf-8'],
  ['.mjs', 'text/javascript; charset=utf-8'],
  ['.css', 'text/css; charset=utf-8'],
  ['.json', 'application/json'],
  ['.map', 'application/json'],
  ['.webmanifest', 'application/manifest+json'],
  ['.svg', 'image/svg+xml'],
  ['.png', 'image/png'],
  ['.ico', 'image/x-icon'],
  ['.woff2', 'font/woff2'],
  ['.txt', 'text/plain; charset=utf-8'],
]);

/** Names that change with their content: by a hash of at least eight characters before the extension, which is no word. */
const HASHED = /[.-](?=[\w-]*[A-Z\d])[\w-]{8,}\.\w+$/;

/** Files of a folder. */
export class StaticFiles {
  readonly #folder: string;
  readonly #names: ReadonlySet<string>;

  /**
   * @param folder - path or file URL
   * @throws {OptionError} when it cannot be read or has no index.html
   */
  constructor(folder: string | URL) {
    this.#folder = typeof folder === 'string' && !folder.startsWith('file:') ? folder : fileURLToPath(folder);
    this.#names = new Set(list(this.#folder));
    if (!this.#names.has('index.html'))
      throw new OptionError(`Expected \`dashboard\` to be a folder with an index.html, got '${this.#folder}'`);
  }

  /**
   * Finds the answer to a path.
   *
   * @param request - GET or HEAD
   * @returns the file, index.html for a page of the dashboard, or null
   */
  answer(request: Request): Response | null {
    const { pathname } = new URL(request.url);
    const name = pathname === '/' ? 'index.html' : pathname.slice(1);
    if (this.#names.has(name)) return this.#respond(request, name);
    // Pages of the dashboard have addresses of their own; the one file knows them. Ids in them may have dots.
    const wantsPage = (request.headers.get('accept') ?? '').includes('text/html');
    return wantsPage && !name.startsWith('assets/') ? this.#respond(request, 'index.html') : null;
  }

  #respond(request: Request, name: string): Response {
    const bytes = readFileSync(join(this.#folder, name));
    return new Response(request.method === 'HEAD' ? null : bytes, {
      headers: {
        'content-type': CONTENT_TYPES.get(extname(name)) ?? 'application/octet-stream',
        'content-length': String(bytes.byteLength),
        'cache-control': HASHED.test(name) ? 'public, max-age=31536000, immutable' : 'no-cache',
      },
    });
  }
}

function list(folder: string): readonly string[] {
  try {
    return readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) =>
        join(entry.parentPath, entry.name)
          .slice(folder.replace(/[/\\]$/, '').length + 1)
          .replaceAll(sep, '/'),
      );
  } catch (cause) {
    throw new OptionError(`The folder of the dashboard cannot be read: ${toFailure(cause).message}`, { cause });
  }
}
