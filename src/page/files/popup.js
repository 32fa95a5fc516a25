// What opens above the page: lists to choose from, and dialogs. One at a time; Esc or a click beside it closes it, and the focus
// goes back to where it was.

import { el } from './dom.js';

let opened = null;

// Opens a popup below an element. `build(close)` gives its content.
export function openBelow(anchor, label, build) {
  const dialog = show(label, build, 'popup', anchor);
  const from = (anchor.offsetParent === null ? document.querySelector('#filters, #more') : anchor).getBoundingClientRect();
  const left = Math.min(from.left, document.documentElement.clientWidth - dialog.offsetWidth - 8);
  dialog.style.left = `${Math.max(8, left)}px`;
  dialog.style.top = `${Math.min(from.bottom + 6, Math.max(8, innerHeight - dialog.offsetHeight - 8))}px`;
}

// Opens a dialog in the middle of the page.
export function openDialog(label, build) {
  show(label, build, 'wide', document.activeElement);
}

function show(label, build, kind, anchor) {
  close();
  const dialog = el(`dialog.${kind}`, { 'aria-label': label });
  dialog.append(...build(close));
  opened = { dialog, anchor };
  document.body.append(dialog);
  anchor?.setAttribute?.('aria-expanded', 'true');
  dialog.addEventListener('cancel', (event) => { event.preventDefault(); close(); });
  dialog.addEventListener('mousedown', (event) => { if (event.target === dialog && isBeside(dialog, event)) close(); });
  dialog.showModal();
  const first = dialog.querySelector('[autofocus], .options, input, button');
  first?.focus();
  return dialog;
}

function isBeside(dialog, { clientX, clientY }) {
  const { left, right, top, bottom } = dialog.getBoundingClientRect();
  return clientX < left || clientX > right || clientY < top || clientY > bottom;
}

// Closes what is open. Whether anything was.
export function close() {
  if (opened === null) return false;
  const { dialog, anchor } = opened;
  opened = null;
  dialog.close();
  dialog.remove();
  if (anchor?.hasAttribute?.('aria-expanded')) anchor.setAttribute('aria-expanded', 'false');
  anchor?.focus?.();
  return true;
}

export function isOpen() {
  return opened !== null;
}

let lists = 0;

// A list to choose one of: `{ value, text, end, isOff }`. Arrows move, Enter or a click chooses.
export function options(label, entries, chosen, choose) {
  lists += 1;
  const id = (index) => `list${lists}-${index}`;
  const items = entries.map(({ value, text, end, isOff }, index) => el('li', {
    role: 'option', id: id(index), 'aria-selected': String(value === chosen), 'aria-disabled': isOff ? 'true' : null, 'data-value': value,
  }, el('span', {}, text), end ? el('span.end', {}, end) : null));
  const list = el('ul.options', { role: 'listbox', tabindex: '0', 'aria-label': label }, ...items);
  let at = Math.max(0, entries.findIndex(({ value }) => value === chosen));
  const mark = (next) => {
    items[at]?.classList.remove('at');
    at = Math.min(Math.max(next, 0), items.length - 1);
    items[at]?.classList.add('at');
    items[at]?.scrollIntoView({ block: 'nearest' });
    list.setAttribute('aria-activedescendant', id(at));
  };
  mark(at);
  const take = (index) => { if (entries[index] && !entries[index].isOff) choose(entries[index].value); };
  list.addEventListener('keydown', (event) => {
    const steps = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 };
    if (event.key in steps) mark(steps[event.key]);
    else if (event.key === 'Enter' || event.key === ' ') take(at);
    else if (event.key.length === 1) mark(nextFrom(entries, at, event.key));
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  list.addEventListener('click', (event) => take(items.indexOf(event.target.closest('li'))));
  return list;
}

// The next entry that begins with the letter.
function nextFrom(entries, at, letter) {
  const places = [...entries.keys()].map((index) => (at + 1 + index) % entries.length);
  return places.find((index) => entries[index].text.toLowerCase().startsWith(letter.toLowerCase())) ?? at;
}
