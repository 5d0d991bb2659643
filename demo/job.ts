// What the parts of the demo tell each other: inputs and results of orchestrations and activities, and the entries of the manifest.
// Results hold counts and names of files only: the bulk lies in part files, so that no payload grows with the tree.

/** What to hash, and where to work. */
export type Job = {
  /** Absolute path of the tree. */
  readonly root: string;
  /** Absolute path of the folder for lists, parts and the manifest. It is left out when it lies in the tree. */
  readonly work: string;
  /** How long each activity waits besides its work, in milliseconds; 0 but for small trees, which would be done before a kill. */
  readonly paceMs: number;
};

/** Some top-level folders and the files to hash in them, as lists on disk. */
export type FolderPlan = {
  /** Name of the folder; `.` for the files directly in the root. */
  readonly name: string;
  readonly files: number;
  /** Paths of the lists relative to the work folder are `${lists}-${0 … chunks - 1}.json`. */
  readonly lists: string;
  readonly chunks: number;
};

/** The tree as it was listed. */
export type TreePlan = {
  readonly folders: readonly FolderPlan[];
  readonly files: number;
  readonly symlinks: number;
  /** Sockets, pipes and devices. */
  readonly others: number;
  /** File of the work folder with the folders that could not be read. */
  readonly unreadable: string;
};

/** Sums over the files that were hashed. */
export type Totals = { readonly files: number; readonly bytes: number; readonly lines: number };

/** Custom status of a sub-orchestration: how far it is. */
export type FolderStatus = Totals & { readonly unreadable: number };

/** What one chunk gave. */
export type ChunkResult = FolderStatus & {
  /** File of the work folder with its entries. */
  readonly part: string;
  readonly attempt: number;
};

/** What one sub-orchestration gave. */
export type FolderResult = FolderStatus & { readonly name: string; readonly parts: readonly string[] };

/** Custom status of the main orchestration, set once the tree is listed. */
export type PlanStatus = { readonly files: number; readonly folders: number };

/** One file, hashed. */
export type FileEntry = { readonly path: string; readonly size: number; readonly lines: number; readonly sha256: string };

/** One file or folder that could not be read. */
export type UnreadableEntry = { readonly path: string; readonly reason: string };

/** `manifest.json`. Paths are relative to the root with `/` between folders, entries in the order of their paths. */
export type Manifest = Totals & {
  readonly root: string;
  readonly symlinksSkipped: number;
  readonly othersSkipped: number;
  readonly folders: readonly (Totals & { readonly name: string })[];
  readonly unreadable: readonly UnreadableEntry[];
  readonly entries: readonly FileEntry[];
};

/**
 * Makes the id of a sub-orchestration.
 *
 * @param parentId - instance id of the main orchestration
 * @param index - position of the folder in the plan
 * @returns the id; the demo watches the folders by it
 */
export function folderInstanceId(parentId: string, index: number): string {
  return `${parentId}/folder-${index}`;
}
