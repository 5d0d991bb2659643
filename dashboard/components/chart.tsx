// A live line chart, drawn by uPlot in the colours of the theme. Its latest figures stand beside it as text, for who cannot see it.
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import UPlot from 'uplot';
import { themeChanges } from '../lib/theme.ts';

/** A line of a chart. */
export type Line = { readonly label: string; readonly values: readonly (number | null)[] };

type Props = {
  readonly title: string;
  /** Epoch seconds of the points. */
  readonly times: readonly number[];
  readonly lines: readonly Line[];
  readonly format: (value: number) => string;
  /** The values are shares: the axis goes from 0 to 1. */
  readonly isShare?: boolean;
};

const HEIGHT_PX = 150;
/** What the axis reaches to at least. Reason: ticks between 0 and next to 0 have one text. */
const LEAST_TOP = 1;
const COLOURS = ['--line-1', '--line-2', '--line-3', '--line-4'];

/**
 * Draws a chart.
 *
 * @param props - its lines
 * @returns a figure with legend and latest figures
 */
export function Chart({ title, times, lines, format, isShare = false }: Props): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<UPlot | null>(null);
  const data = [times as number[], ...lines.map(({ values }) => values as (number | null)[])] satisfies (number | null)[][];
  const latest = useRef(data);
  latest.current = data;
  const shape = `${lines.map(({ label }) => label).join('\n')} ${themeChanges.value}`;

  useEffect(() => {
    const element = place.current;
    if (element === null) return undefined;
    const made = new UPlot(optionsOf(element, { lines, format, isShare }), latest.current as UPlot.AlignedData, element);
    chart.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT_PX }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      chart.current = null;
      made.destroy();
    };
  }, [shape]);

  useEffect(() => chart.current?.setData(latest.current as UPlot.AlignedData), [times]);

  return (
    <figure class="chart panel">
      <figcaption>
        <h2>{title}</h2>
        <ul class="legend">
          {lines.map(({ label, values }, index) => (
            <li key={label}>
              <span aria-hidden="true" class={`swatch swatch-${index + 1}`} />
              {label} <strong>{latestOf(values, format)}</strong>
            </li>
          ))}
        </ul>
      </figcaption>
      <div class="plot" ref={place} aria-hidden="true" />
      <p class="hidden">{lines.map((line) => inWords(line, format)).join(' ')}</p>
    </figure>
  );
}

/** What the lines show, for who cannot see them. */
function inWords({ label, values }: Line, format: (value: number) => string): string {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return `${label}: no figures yet.`;
  const [low, high] = [known.reduce((a, b) => Math.min(a, b)), known.reduce((a, b) => Math.max(a, b))];
  return `${label}: between ${format(low)} and ${format(high)} since the page was opened.`;
}

function latestOf(values: readonly (number | null)[], format: (value: number) => string): string {
  const value = values.at(-1);
  return value === null || value === undefined ? '—' : format(value);
}

/** uPlot draws on a canvas: it needs colours, not names of colours. */
function optionsOf(element: HTMLElement, { lines, format, isShare }: Required<Pick<Props, 'lines' | 'format' | 'isShare'>>): UPlot.Options {
  const muted = colourOf(element, '--muted');
  const grid = colourOf(element, '--border');
  const axis = { stroke: muted, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: '11px system-ui, sans-serif' };
  return {
    width: element.clientWidth,
    height: HEIGHT_PX,
    legend: { show: false },
    cursor: { drag: { x: false, y: false } },
    scales: { y: { range: (_chart, _low, high) => [0, isShare ? 1.02 : Math.max(high * 1.1, LEAST_TOP)] } },
    axes: [
      { ...axis, size: 28, space: 70, values: (_chart, ticks) => ticks.map(clockTime) },
      { ...axis, size: 56, values: (_chart, ticks) => ticks.map(format) },
    ],
    series: [
      {},
      ...lines.map(({ label }, index) => ({
        label,
        stroke: colourOf(element, COLOURS[index] ?? '--muted'),
        width: 1.5,
        points: { show: false },
      })),
    ],
  };
}

function clockTime(atS: number): string {
  return new Date(atS * 1000).toLocaleTimeString('en-GB');
}

function colourOf(element: HTMLElement, name: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  element.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
