// What the page has to say above the figures: states as status, faults as alert. One of each kind, and none twice.

import { byId, el } from './dom.js';

const shown = new Map();

// Shows a notice, in place of the one of the same kind. `actions` are `[text, action]`; a fault is read out at once.
export function tell(kind, text, actions = [], isFault = false) {
  const old = shown.get(kind);
  if (old && old.text === text) return;
  const notice = el('div.notice', { 'data-kind': kind }, el('span', {}, text),
    ...actions.map(([words, action]) => el('button.button', { type: 'button', onclick: action }, words)));
  if (old) old.notice.replaceWith(notice);
  else byId(isFault ? 'alerts' : 'notices').append(notice);
  shown.set(kind, { notice, text });
}

export function untell(...kinds) {
  for (const kind of kinds) {
    shown.get(kind)?.notice.remove();
    shown.delete(kind);
  }
}

let timer = 0;

// A notice that goes by itself.
export function tellBriefly(text) {
  tell('brief', text);
  clearTimeout(timer);
  timer = setTimeout(() => untell('brief'), 4_000);
}
