// Loads the part of a surface that needs optional packages, only when it is asked for. Neighbours: ../http/http-api.ts, ../mcp/mcp-server.ts.
import { DurableError } from '../../types/errors.ts';
import { toFailure } from '../../types/failure.ts';

/**
 * Loads modules that import optional packages.
 *
 * @param surface - what needs them, for the message
 * @param packages - the packages, for the message
 * @param load - imports the modules
 * @returns what `load` gave
 * @throws {DurableError} `SURFACE_DEPENDENCY_MISSING` when one of the packages is not installed
 */
export async function loadSurface<Modules>(surface: string, packages: readonly string[], load: () => Promise<Modules>): Promise<Modules> {
  try {
    return await load();
  } catch (cause) {
    const { code, message } = toFailure(cause);
    const missing = code === 'ERR_MODULE_NOT_FOUND' ? /Cannot find package '([^']+)'/.exec(message)?.[1] : undefined;
    if (missing === undefined) throw cause;
    throw new DurableError(
      'SURFACE_DEPENDENCY_MISSING',
      `${surface} needs the package '${missing}', which is not installed. Install it: npm install ${packages.join(' ')}`,
      { cause },
    );
  }
}
