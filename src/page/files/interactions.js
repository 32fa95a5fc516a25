// Interactions by use: what share was answered by fallbacks, and each with its bar.

import { byId, el, named, refill, spelled } from './dom.js';
import { brief, count, percent } from './format.js';

const ROWS_SHOWN = 12;

// Draws the list of the answer; `null` where several stories are picked. `of` says whose interactions they are.
export function drawInteractions(rows, { of, isAll }, more) {
  const host = byId('interactions-list');
  if (rows === null || rows.length === 0) {
    byId('interactions-note').textContent = '';
    const words = rows === null
      ? 'This report is about one story or all of them. Pick one story to see it.'
      : 'No interactions are known for this story. They appear with the first `interaction` event, or are named by PUT /stories/{id}.';
    refill(host, el('p.said', {}, words));
    return;
  }
  const all = rows.reduce((sum, row) => sum + row.value, 0);
  const sumOf = (kinds) => rows.filter((row) => kinds.includes(row.type)).reduce((sum, row) => sum + row.value, 0);
  const [fallback, welcome] = [sumOf(['fallback', 'contextFallback']), sumOf(['welcome'])];
  const part = (value) => (all > 0 ? (value / all) * 100 : 0);
  byId('interactions-note').replaceChildren(...(all > 0
    ? [el('b', {}, `${percent(part(fallback))} answered by a fallback`), ` of ${brief(all)} interactions, ${of}.`]
    : [`None was used in this range; ${of}.`]));
  const names = new Map(rows.filter((row) => row.id).map((row) => [row.id, row.name]));
  const most = rows[0].value || 1;
  const shown = isAll ? rows : rows.slice(0, ROWS_SHOWN);
  const unused = rows.filter((row) => row.value === 0).length;
  refill(host,
    all > 0 ? shareBar([['', all - fallback - welcome, 'answered'], ['fallback', fallback, 'fallback'], ['welcome', welcome, 'welcome']], all) : null,
    el('table.rows.ranked', {},
      el('caption.unseen', {}, 'Interactions by use'),
      el('colgroup', {}, el('col'), el('col.bar-column'), el('col.sum-column'), el('col.share-column')),
      el('thead.unseen', {}, el('tr', {}, ...['Interaction', 'Bar', 'Uses', 'Share'].map((name) => el('th', { scope: 'col' }, name)))),
      el('tbody', {}, ...shown.map((row) => line(row, names, most)))),
    rows.length > shown.length ? el('div.under', {}, el('button.button', { type: 'button' }, `Show all ${count(rows.length)}${unused > 0 ? `, ${count(unused)} of them not used` : ''}`)) : null);
  host.onclick = (event) => { if (event.target.closest('button')) more(); };
}

const KINDS = { fallback: 'fallback', contextFallback: 'fallback', welcome: 'welcome' };

// The fallback within an interaction is named by that.
function nameOf(row, names) {
  return row.type === 'contextFallback' ? `in “${names.get(row.parentId) ?? row.parentId}”` : row.name;
}

function line(row, names, most) {
  const bar = el(`i.fill${KINDS[row.type] ? `.${KINDS[row.type]}` : ''}`, { 'aria-hidden': 'true' });
  bar.style.width = `${(row.value / most) * 100}%`;
  const title = [spelled(nameOf(row, names)), row.type ?? 'interaction', row.id ?? row.parentId].filter(Boolean).join(' · ');
  const name = named(nameOf(row, names));
  name.title = title;
  return el(row.value === 0 ? 'tr.unused' : 'tr', {}, el('th', { scope: 'row' }, name),
    el('td.bar', {}, row.value > 0 ? bar : null), el('td.num', { title: count(row.value) }, brief(row.value)), el('td.num.dim', {}, percent(row.usage)));
}

function shareBar(parts, all) {
  return el('div.shares', { role: 'img', 'aria-label': parts.map(([, value, name]) => `${name} ${percent((value / all) * 100)}`).join(', ') },
    ...parts.filter(([, value]) => value > 0).map(([kind, value, name]) => {
      const bar = el(`i.fill${kind ? `.${kind}` : ''}`, { title: `${name}: ${count(value)}` });
      bar.style.flexGrow = String(value);
      return bar;
    }));
}
