// Picks stories: type a part of a name or the beginning of an id, pick up to twenty. A key asks at once, and while an answer is on
// its way the next request waits for it, so that there is one at a time, and the last is always for all that was typed.

import { loadStoryList } from './load.js';
import { byId, el, named, spelled } from './dom.js';
import { brief } from './format.js';
import { openBelow } from './popup.js';
import { STORIES_PICKED_MAX } from './view.js';
import * as time from './time.js';

const SHOWN = 20;
// A search that took so long is given up when more is typed.
const SLOW_MS = 500;

// Opens it. `choose` gets the ids; `remember` each row that is picked, so that its name is known.
export function openPicker(view, stories, now, { choose, remember }) {
  openBelow(byId('stories'), 'Stories', (close) => {
    const picked = new Set(view.storyId);
    const field = el('input.field', {
      type: 'text', role: 'combobox', 'aria-expanded': 'true', 'aria-controls': 'found', 'aria-autocomplete': 'list', 'aria-label': 'Search stories',
      placeholder: 'Name, or beginning of an id', autocomplete: 'off', spellcheck: 'false', autofocus: true,
    });
    const list = el('ul.options', { role: 'listbox', id: 'found', 'aria-label': 'Stories', 'aria-multiselectable': 'true' });
    const note = el('p.note', { role: 'status' });
    const chips = el('div.chips', {});
    let [rows, at, asked, listed, isChoosing, search] = [[], 0, null, null, false, null];

    const drawChips = () => chips.replaceChildren(...[...picked].map((id) => el('button', {
      type: 'button', 'aria-label': `Take off ${spelled(stories.get(id)?.name ?? id)}`, onclick: () => toggle(id),
    }, named(stories.get(id)?.name ?? id), '×')));
    const draw = () => {
      list.replaceChildren(...rows.map((row, index) => el('li', {
        role: 'option', id: `found-${index}`, 'aria-selected': String(picked.has(row.storyId)), class: index === at ? 'at' : null,
      }, named(row.name ?? row.storyId), el('span.end', {}, `…${row.storyId.slice(-4)}`, row.lastEvent ? ` · ${ago(row.lastEvent, view, now)}` : ' · no event'))));
      if (rows[at]) field.setAttribute('aria-activedescendant', `found-${at}`);
      else field.removeAttribute('aria-activedescendant');
    };
    const toggle = (id) => {
      if (picked.has(id)) picked.delete(id);
      else if (picked.size >= STORIES_PICKED_MAX) note.textContent = `${STORIES_PICKED_MAX} at most; take one off first.`;
      else picked.add(id);
      const row = rows.find((found) => found.storyId === id);
      if (row) remember(row);
      drawChips();
      draw();
    };
    const ask = async () => {
      const text = field.value.trim();
      search = new AbortController();
      asked = { text, at: performance.now() };
      try {
        const page = await loadStoryList(text, SHOWN, search.signal);
        [rows, at, listed] = [page.stories, 0, text];
        draw();
        note.textContent = page.next ? `${rows.length} shown, type on` : rows.length === 0 ? 'No story has this in its name.' : `${brief(rows.length)} found`;
        document.dispatchEvent(new CustomEvent('tallyd:listed', { detail: text }));
      } catch (failure) {
        isChoosing = false;
        if (failure.name !== 'AbortError') note.textContent = `The list cannot be had: ${failure.words ?? failure.message}`;
      }
    };
    const find = async () => {
      const text = field.value.trim();
      if (asked !== null) {
        if (asked.text !== text && performance.now() - asked.at > SLOW_MS) search.abort();
        return;
      }
      do await ask(); while (field.value.trim() !== asked.text);
      asked = null;
      // Unless it was closed meanwhile.
      if (isChoosing && field.isConnected) chooseListed({});
    };
    // Enter means the list for what was typed; where that is still on its way, it waits for it.
    const chooseListed = ({ shiftKey }) => {
      isChoosing = listed !== field.value.trim() && asked !== null;
      if (isChoosing) return;
      if (rows[at] && (picked.size === 0 || field.value)) { toggle(rows[at].storyId); if (!shiftKey) apply(); } else apply();
    };
    const apply = () => { close(); choose({ storyId: [...picked] }); };
    field.addEventListener('input', () => { isChoosing = false; find(); });
    field.addEventListener('keydown', (event) => {
      if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
        at = Math.min(Math.max(at + (event.key === 'ArrowDown' ? 1 : -1), 0), rows.length - 1);
        draw();
        list.children[at]?.scrollIntoView({ block: 'nearest' });
        event.preventDefault();
      } else if (event.key === 'Enter') {
        event.preventDefault();
        if (event.ctrlKey || event.metaKey) toggle(rows[at]?.storyId);
        else chooseListed(event);
      }
    });
    list.addEventListener('click', (event) => {
      const index = [...list.children].indexOf(event.target.closest('li'));
      if (rows[index]) { at = index; toggle(rows[index].storyId); }
    });
    drawChips();
    find();
    return [field, chips, list, note, el('div.actions', {}, el('button.button.primary', { type: 'button', onclick: apply }, 'Show'),
      el('button.button', { type: 'button', onclick: () => { close(); choose({ storyId: [] }); } }, 'All stories'))];
  });
}

function ago(text, view, now) {
  const ms = Date.parse(text);
  const [day, today] = [time.day(ms, view.timezone), time.day(now, view.timezone)];
  return day === today ? time.timeWords(ms, view.timezone) : time.dayWords(day, today, { day: 'numeric', month: 'short' });
}
