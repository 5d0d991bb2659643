// The style of a report: light and dark as the reader's system is, readable on a phone and on paper. Neighbour: report.ts.

/** CSS. Colours have a contrast of 4.5 and more against their ground, in both schemes. */
export const REPORT_STYLE = `
:root {
  color-scheme: light dark;
  --ground: #ffffff; --text: #1b1f24; --muted: #57606a; --line: #d0d7de; --soft: #f6f8fa; --link: #0550ae;
  --completed: #1a7f37; --failed: #b3261e; --open: #0550ae; --cancelled: #6e7781;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0d1117; --text: #e6edf3; --muted: #9da7b3; --line: #30363d; --soft: #161b22; --link: #79c0ff;
    --completed: #3fb950; --failed: #ff7b72; --open: #79c0ff; --cancelled: #9da7b3;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1100px; margin: 0 auto; padding: 16px; }
h1, h2, p, li, td, dd, code, summary { overflow-wrap: anywhere; unicode-bidi: isolate; }
h1 { margin: 0; font-size: 1.5rem; }
h2 { margin: 2rem 0 0.5rem; font-size: 1.15rem; }
dl { display: flex; flex-wrap: wrap; gap: 8px 32px; margin: 12px 0; }
dl > div { min-width: 0; }
dt { color: var(--muted); font-size: 0.85rem; }
dd { margin: 0; }
.status { border: 1px solid currentcolor; border-radius: 12px; padding: 1px 10px; font-size: 0.85rem; }
.Completed { color: var(--completed); }
.Failed, .Quarantined, .Terminated { color: var(--failed); }
.Running, .Pending { color: var(--open); }
.Suspended, .Cancelled { color: var(--muted); }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 10px; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th { background: var(--soft); white-space: nowrap; }
td time, td.kind { white-space: nowrap; }
details { margin: 4px 0; }
summary { cursor: pointer; color: var(--link); }
pre { margin: 4px 0; padding: 8px; max-height: 400px; overflow: auto; background: var(--soft); border-radius: 6px; font-size: 0.85rem; }
.diff span { display: block; }
.diff .history { color: var(--failed); }
.diff .code { color: var(--completed); }
.left-out { color: var(--muted); font-style: italic; }
.tree { padding-left: 20px; }
svg { display: block; background: var(--ground); }
svg text { fill: var(--text); font: 12px system-ui, sans-serif; }
svg .axis, svg .note { fill: var(--muted); }
svg .tick { stroke: var(--line); }
svg .pauses { stroke: var(--muted); }
svg rect.completed { fill: var(--completed); }
svg rect.failed { fill: var(--failed); }
svg rect.open { fill: var(--open); fill-opacity: 0.5; stroke: var(--open); stroke-dasharray: 4 3; }
svg rect.cancelled { fill: var(--ground); stroke: var(--cancelled); }
@media print { pre { max-height: none; } }
`;
