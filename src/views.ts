// `duraloom/views`: an execution as pictures and as data for pictures. Pure functions that run in a browser, too. Re-exports only.
export { describeOpenDecision, describeOpenDecisions, openDecisions, type OpenDecision } from './replay/open-decisions.ts';
export type { PartingLine } from './replay/history-diff.ts';
export { toMermaid, type MermaidOptions } from './surfaces/views/mermaid.ts';
export { toNondeterminism, type CodeLocation, type NondeterminismView } from './surfaces/views/nondeterminism.ts';
export { formatDuration } from './surfaces/views/text.ts';
export {
  toTimeline,
  type SpanOutcome,
  type SpanTimes,
  type Timeline,
  type TimelineAttempt,
  type TimelineMark,
  type TimelineOutcome,
  type TimelineSpan,
} from './surfaces/views/timeline.ts';
export {
  toTimeTravel,
  type Moment,
  type MomentResult,
  type MomentUnread,
  type MomentWait,
  type TimeTravel,
} from './surfaces/views/time-travel.ts';
export { toHtmlReport, type ReportActivity, type ReportInput, type ReportState, type ReportTree } from './surfaces/views/report.ts';
