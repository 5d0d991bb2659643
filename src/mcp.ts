// `duraloom/mcp`: the MCP server, on pipes or on a transport of the host. Re-exports only. Over HTTP: the option `mcp` of `duraloom/http`.
export { createMcpServer, serveStdio, type McpOptions, type StdioOptions, type StdioServer } from './surfaces/mcp/mcp-server.ts';
export type { LogEntry, LogFilter, LogSource } from './surfaces/operations/log-source.ts';
export type { LocalRuntime } from './surfaces/operations/operation.ts';
