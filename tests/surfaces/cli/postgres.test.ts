// The program on PostgreSQL: a store by its address and schema, with a runtime on it.
import { Client, Runtime } from 'duraloom';
import { describe, expect, test } from 'vitest';
import { makePlace } from '../../support/cli.ts';
import { freshSchema, openPostgres, postgresUrl } from '../../support/postgres.ts';

const code = new URL('code.ts', import.meta.url);

describe('a store on PostgreSQL', { timeout: 120_000 }, () => {
  test('is looked at and acted on, named by the environment', async () => {
    const place = await makePlace();
    const schema = freshSchema();
    const provider = await openPostgres({ schema });
    const runtime = await Runtime.start({ provider, orchestrations: code, activities: code, activityThreads: 1, replayThreads: 1 });
    try {
      const url = new URL(postgresUrl());
      url.searchParams.set('schema', schema);
      const env = { DURALOOM_STORE: url.href };
      expect(await place.run(['start', 'greet', '--id', 'p', '--input', '"P"'], { env })).toMatchObject({ code: 0, stderr: '' });
      await new Client(provider).waitForCustomStatus('p', { afterVersion: 0 });
      const [list, why, doctor] = await Promise.all([
        place.run(['list'], { env }),
        place.run(['why', 'p'], { env }),
        place.run(['doctor'], { env }),
      ]);
      expect(list).toMatchObject({ code: 0, stdout: expect.stringMatching(/^p +greet +1\.0\.0 +Running /m) as unknown });
      expect(why).toMatchObject({ code: 0, stdout: expect.stringContaining("event 'approved'") as unknown });
      expect(doctor).toMatchObject({ code: 0, stdout: expect.stringContaining(`(schema ${schema})`) as unknown });
      await place.run(['raise', 'p', 'approved', '--data', '{"by":"B"}'], { env });
      await place.run(['raise', 'p', 'thanked'], { env });
      expect(await place.run(['watch', 'p'], { env })).toMatchObject({
        code: 0,
        stdout: expect.stringContaining('"Hello, P by B"') as unknown,
      });
    } finally {
      await runtime.shutdown();
      await place.remove();
    }
  });
});
