// The keys of the whole page. Off in fields and dialogs; can be switched off, since they are single letters.

import { el } from './dom.js';
import { isOpen, openDialog } from './popup.js';

const OFF = 'tallyd.keys.off';

export const KEYS = [
  ['/', 'stories'], ['p', 'period'], ['s', 'sources'], ['z', 'time zone'], ['b', 'by hour, day, month, year'], ['c', 'against'],
  ['g', 'split by nothing, source, story'], ['1', 'figures to the chart, up to 4'], ['[', 'earlier'], [']', 'later'], ['t', 'today'],
  ['v', 'chart or table'], ['l', 'live or paused'], ['e', 'CSV'], ['y', 'copy the link'], ['?', 'these keys'],
];

// Listens. `actions` has a function for each key.
export function listen(actions) {
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isOpen() || event.defaultPrevented) return;
    if (event.target.closest('input, select, textarea')) return;
    if (localStorage.getItem(OFF) && event.key !== '?' && event.key !== 'Escape') return;
    const action = Object.hasOwn(actions, event.key) ? actions[event.key] : null;
    if (!action) return;
    event.preventDefault();
    action();
  });
}

export function openKeys() {
  openDialog('Keys', (close) => {
    const box = el('input', { type: 'checkbox', checked: !localStorage.getItem(OFF) });
    box.addEventListener('change', () => {
      if (box.checked) localStorage.removeItem(OFF);
      else localStorage.setItem(OFF, '1');
    });
    const row = ([key, words]) => [el('dt', {}, el('kbd', {}, key)), el('dd', {}, words)];
    return [
      el('h2', {}, 'Keys'),
      el('dl.keys', {}, ...KEYS.flatMap(row), ...row(['Esc', 'close, then undo a zoom']),
        ...row(['← →', 'in the chart: bucket; PgUp, PgDn: week or day; Home, End; Enter zooms in']), ...row(['↑ ↓', 'in the heat map: cell'])),
      el('div.checks', {}, el('label', {}, box, 'Letters are keys of this page')),
      el('div.actions', {}, el('button.button', { type: 'button', onclick: close }, 'Close')),
    ];
  });
}
