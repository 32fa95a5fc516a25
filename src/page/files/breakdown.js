// The list beside the chart: sources or stories by their sums, with share and change. It is the legend of a split chart, and a row
// filters to what it names.

import { byId, el, named, refill, unseen } from './dom.js';
import { brief, briefValueOf, change, count, percent, valueOf } from './format.js';
import { otherOf } from './model.js';
import { otherName } from './tooltip.js';
import { GROUPS_MORE } from './load.js';

const GROUPS_SHOWN = 7;

// Draws the list. `picked` is told which group a row names, `more` when all are wanted.
export function drawBreakdown(chart, { chosen, filtered, isAll }, { picked, more, tab }) {
  for (const button of byId('breakdown').querySelectorAll('.tabs button')) {
    button.setAttribute('aria-pressed', String(button.value === chart.grouped));
    button.onclick = () => tab(button.value);
  }
  const shown = isAll ? chart.groups : chart.groups.slice(0, GROUPS_SHOWN);
  const other = otherOf(chart, shown);
  const isCompared = chart.before !== null;
  const head = chart.grouped === 'source' ? 'Source' : 'Story';
  const rows = shown.map((group) => row(chart, group, { isCompared, isChosen: chosen.includes(group.key) }));
  if (other) rows.push(line(chart, otherName(other), other.total, null, isCompared, 'c7'));
  const before = chart.before ? (chart.average ? chart.before.overall : chart.before.summary.total) : null;
  refill(byId('breakdown-list'), el('table.rows', {},
    el('caption.unseen', {}, `${head}s with their sums`),
    el('colgroup', {}, el('col'), el('col.sum-column'), chart.average ? null : el('col.share-column'), isCompared ? el('col.change-column') : null),
    el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, head), el('th.num', { scope: 'col' }, chart.average ? 'Overall' : 'Sum'),
      chart.average ? null : el('th.num', { scope: 'col' }, 'Share'), isCompared ? el('th.num', { scope: 'col' }, 'Change') : null)),
    el('tbody', {}, ...rows, line(chart, 'All', chart.total, before, isCompared, '', 'all'))),
  under(chart, shown, filtered, isAll));
  const list = byId('breakdown-list');
  list.onclick = (event) => {
    const button = event.target.closest('button');
    if (button?.classList.contains('pick')) picked(button.value);
    else if (button?.value === 'more') more();
  };
}

function row(chart, group, { isCompared, isChosen }) {
  const swatch = el(`i.swatch.${chart.split ? `c${group.colour}` : 'plain-swatch'}`, { 'aria-hidden': 'true' });
  const pick = el('button.pick', { type: 'button', value: group.key, 'aria-pressed': String(isChosen) }, swatch, named(group.name));
  return el('tr', {}, el('th', { scope: 'row' }, pick), ...cells(chart, group.total, group.before, isCompared));
}

function line(chart, name, total, before, isCompared, colour, kind) {
  const swatch = colour && chart.split ? el(`i.swatch.${colour}`, { 'aria-hidden': 'true' }) : null;
  return el(kind ? `tr.${kind}` : 'tr', {}, el('th', { scope: 'row' }, swatch, swatch ? ' ' : null, name), ...cells(chart, total, before, isCompared));
}

function cells(chart, total, before, isCompared) {
  const share = chart.total > 0 ? (total / chart.total) * 100 : 0;
  return [
    el('td.num', { title: valueOf(chart.report, total) }, briefValueOf(chart.report, total)),
    chart.average ? null : el('td.num.dim', {}, chart.total > 0 ? percent(share) : '–'),
    isCompared ? el('td.num', {}, changeCell(total, before)) : null,
  ];
}

function changeCell(total, before) {
  const found = change(total, before);
  if (!found) return '';
  return el('span', {}, el('span', { 'aria-hidden': 'true' }, `${found.sign} ${found.text}`.trim()), unseen(found.words));
}

function under(chart, shown, filtered, isAll) {
  const all = chart.groups.length + chart.omitted;
  const what = chart.grouped === 'source' ? 'source' : 'stor';
  const noun = all === 1 ? (what === 'stor' ? 'story' : what) : what === 'stor' ? 'stories' : 'sources';
  const hidden = all - shown.length;
  return el('div.under', {},
    el('span', {}, `${count(shown.length)} of ${brief(all)} ${noun}${filtered ? ', filtered' : ''}`),
    hidden > 0 && !isAll ? el('button.button', { type: 'button', value: 'more' }, `Show ${Math.min(hidden, GROUPS_MORE - shown.length)} more`) : null);
}
