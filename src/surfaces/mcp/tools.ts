// The tools of the MCP server, made of the table of operations. Neighbours: server.ts offers them, bounded.ts keeps results small.
import type { CallToolResult, Tool } from '@modelcontextprotocol/sdk/types.js';
import * as z from 'zod';
import { encodeRecord } from '../../types/codec.ts';
import type { Logger } from '../../types/logger.ts';
import { toSurfaceFailure } from '../operations/failures.ts';
import type { Operation, SurfaceContext } from '../operations/operation.ts';
import { operations } from '../operations/operations.ts';
import { runBounded } from './bounded.ts';

/** What tools work with. */
export type ToolContext = {
  readonly surface: SurfaceContext;
  readonly allowWrites: boolean;
  readonly logger: Logger;
};

type NamedTool = { readonly operation: Operation; readonly input: z.ZodObject; readonly tool: Tool };

/** What to do about a failure, for who calls tools. */
const ADVICE: Readonly<Record<string, string>> = {
  ARGUMENT_INVALID: 'Correct the arguments by the message.',
  INSTANCE_ALIVE: 'Cancel it and wait for its end, or ask the user whether to delete it with force.',
  INSTANCE_ENDED: 'Read how it ended with get_instance. retry_instance starts a failed one again.',
  INSTANCE_EXISTS: 'Choose another id, or look at the existing one with get_instance.',
  INSTANCE_HAS_PARENT: 'Its parent owns it: look at get_tree, and act on the parent.',
  INSTANCE_NOT_FOUND: 'Find the id with list_instances; `search` takes a part of it.',
  INSTANCE_QUARANTINED: 'explain_waiting tells why. Mend the cause, then resume_instance.',
  PROVIDER_CLOSED: 'The process that serves is shutting down. Ask the user.',
  READ_ONLY: 'This server may not write. Ask the user to start it with writes allowed.',
  REQUEST_INVALID: 'Correct the arguments by the message; the schema of the tool has all of them.',
  WAIT_TIMEOUT: 'It goes on. Ask explain_waiting what it waits for, or wait again.',
};
const GENERAL_ADVICE = 'docs/errors.md has an entry for each code.';

/** Tools by name. The result of an operation is an object, and so is its schema. */
const tools: ReadonlyMap<string, NamedTool> = new Map(
  operations
    .filter(({ isTool }) => isTool)
    .map((operation) => {
      const { path, query, body } = operation.input;
      const input = z.strictObject({ ...path.shape, ...query.shape, ...body.shape });
      const tool = toTool(operation, input);
      return [tool.name, { operation, input, tool }] as const;
    }),
);

function toTool(operation: Operation, input: z.ZodObject): Tool {
  const { summary, description, isWrite, isDestructive, isIdempotent, output } = operation;
  return {
    name: toToolName(operation.name),
    title: summary,
    description,
    inputSchema: toSchema(input) as Tool['inputSchema'],
    outputSchema: toSchema(output) as Tool['outputSchema'],
    annotations: {
      title: summary,
      readOnlyHint: !isWrite,
      destructiveHint: isDestructive,
      idempotentHint: isIdempotent,
      openWorldHint: false,
    },
  };
}

/** By draft 7, by which clients validate. Without what a model pays for and does not need: patterns of times, largest whole numbers. */
function toSchema(schema: z.ZodType): unknown {
  const { $schema: _draft, ...plain } = z.toJSONSchema(schema, {
    target: 'draft-7',
    io: 'input',
    override: ({ jsonSchema }) => {
      if (jsonSchema.format === 'date-time') delete jsonSchema.pattern;
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
    },
  });
  return plain;
}

/**
 * Gives the name of the tool of an operation.
 *
 * @param name - of the operation
 * @returns the same in snake case
 */
export function toToolName(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/**
 * Lists the tools that may be called.
 *
 * @param context - what is there and allowed
 * @returns the tools
 */
export function listTools({ surface, allowWrites }: ToolContext): Tool[] {
  return [...tools.values()]
    .filter(({ operation }) => operation.isOffered(surface) && (allowWrites || !operation.isWrite))
    .map(({ tool }) => tool);
}

/**
 * Calls a tool.
 *
 * @param context - what is there and allowed
 * @param call - which tool, with what
 * @returns its result, or what went wrong; null: there is no such tool
 */
export async function callTool(
  context: ToolContext,
  call: { readonly name: string; readonly args: unknown; readonly signal: AbortSignal },
): Promise<CallToolResult | null> {
  const known = tools.get(call.name);
  if (known === undefined || !known.operation.isOffered(context.surface)) return null;
  const { operation, input } = known;
  if (operation.isWrite && !context.allowWrites) return failed('READ_ONLY', `${call.name} changes something, and this server only reads`);
  const parsed = input.safeParse(call.args);
  if (!parsed.success) return failed('REQUEST_INVALID', z.prettifyError(parsed.error));
  try {
    const { result, text, note } = await runBounded(operation, { context: context.surface, input: parsed.data, signal: call.signal });
    return {
      content: [{ type: 'text', text }, ...(note === null ? [] : [{ type: 'text' as const, text: note }])],
      structuredContent: result,
    };
  } catch (error) {
    return toFailed(error, context.logger);
  }
}

/** Whoever calls a tool is outside: an unexpected failure goes to the log. */
function toFailed(error: unknown, logger: Logger): CallToolResult {
  const failure = toSurfaceFailure(error);
  if (failure === null || failure.status === 500) logger.error({ error }, 'a tool failed');
  if (failure === null) return failed('INTERNAL_ERROR', 'Something unexpected went wrong. The log of the server has it');
  return failed(failure.code, failure.detail);
}

function failed(code: string, message: string): CallToolResult {
  return { isError: true, content: [{ type: 'text', text: encodeRecord({ code, message, advice: ADVICE[code] ?? GENERAL_ADVICE }) }] };
}
