// The durable job: list the tree, hash each top-level folder in a sub-orchestration, write the manifest. Neighbour: activities.ts.
import { defineOrchestration } from 'duraloom';
import type * as activities from './activities.ts';
import { folderInstanceId, type FolderPlan, type FolderResult, type FolderStatus, type Job, type PlanStatus, type Totals } from './job.ts';

export const hashTree = defineOrchestration('hashTree', async (ctx, job: Job): Promise<Totals> => {
  const { listTree, writeManifest } = ctx.activities<typeof activities>();
  const tree = await listTree(job);
  ctx.setCustomStatus({ files: tree.files, folders: tree.folders.length } satisfies PlanStatus);
  const folders = await ctx.all(
    tree.folders.map((folder, index) =>
      ctx.scheduleSubOrchestration(hashFolder, { job, folder }, { instanceId: folderInstanceId(ctx.instanceId, index) }),
    ),
  );
  return writeManifest({ job, folders, tree });
});

export const hashFolder = defineOrchestration(
  'hashFolder',
  async (ctx, { job, folder }: { readonly job: Job; readonly folder: FolderPlan }): Promise<FolderResult> => {
    const { hashChunk } = ctx.activities<typeof activities>();
    const done = { files: 0, bytes: 0, lines: 0, unreadable: 0 };
    const chunks = await ctx.all(
      Array.from({ length: folder.chunks }, async (_, index) => {
        const chunk = await hashChunk({ job, list: `${folder.lists}-${index}.json` });
        done.files += chunk.files;
        done.bytes += chunk.bytes;
        done.lines += chunk.lines;
        done.unreadable += chunk.unreadable;
        ctx.setCustomStatus(done satisfies FolderStatus);
        return chunk;
      }),
    );
    return { name: folder.name, ...done, parts: chunks.map(({ part }) => part) };
  },
);
