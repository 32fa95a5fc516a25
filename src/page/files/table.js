// The chart's numbers as a table: seen where it is asked for, and always there for those who listen.

import { byId, el, named } from './dom.js';
import { changeText, valueOf } from './format.js';
import * as time from './time.js';

// More rows than these are in the CSV alone; unseen, a long table would only slow the page down.
const ROWS_MAX = 1_000;
const ROWS_UNSEEN_MAX = 400;

export function drawTable(chart, isShown) {
  const host = byId('chart-table');
  byId('plot-group').hidden = isShown && chart.points.length > 0;
  host.className = isShown ? 'scroll' : 'unseen';
  if (isShown) host.setAttribute('tabindex', '0');
  else host.removeAttribute('tabindex');
  const most = isShown ? ROWS_MAX : ROWS_UNSEEN_MAX;
  const points = chart.points.slice(0, most);
  const isCompared = chart.before !== null;
  const groups = chart.split ? chart.groups : [];
  const number = (text) => el('td.num', {}, text);
  const value = (of) => (chart.average && of === 0 ? '–' : valueOf(chart.report, of));
  const head = ['Date', 'All', ...(isCompared ? ['Before', 'Change'] : [])].map((name) => el('th', { scope: 'col' }, name));
  host.replaceChildren(el('table', {},
    el('caption.unseen', {}, byId('chart-title').textContent),
    el('thead', {}, el('tr', {}, ...head, ...groups.map((group) => el('th', { scope: 'col' }, named(group.name))))),
    el('tbody', {}, ...points.map((point, index) => el('tr', {},
      el('th', { scope: 'row' }, [time.bucketName(point.ms, chart.unit, chart.zone), index === chart.openAt ? 'so far' : point.unknown].filter(Boolean).join(', ')),
      number(value(point.value)),
      ...(isCompared ? [number(point.before === null ? '' : value(point.before)), number(point.before === null ? '' : changeText(point.value, point.before))] : []),
      ...groups.map((group) => number(value(group.values[index] ?? 0))))))));
  if (chart.points.length > most) host.append(el('p.note', {}, `The first ${most} of ${chart.points.length} rows; the CSV has all of them.`));
}
