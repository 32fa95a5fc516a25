// Asks for all that a view shows. Knows no element.

import { ask } from './api.js';
import { REPORTS, groupOf, parametersOf } from './view.js';

export const GROUPS_SHOWN = 7;
export const GROUPS_MORE = 100;

// The query of the charted report, whose answer has figure, chart and breakdown in one.
export function chartedQuery(view, limit) {
  return parametersOf(view, view.report, { group: groupOf(view), limit });
}

function series(view, name, signal) {
  return ask(`/reports/${name}?${parametersOf(view, name)}`, { signal });
}

// The charted report, and the sums of the three others.
export async function loadSeries(view, signal, limit) {
  const [main, figures] = await Promise.all([ask(`/reports/${view.report}?${chartedQuery(view, limit)}`, { signal }), loadFigures(view, signal)]);
  return { main, figures };
}

export async function loadFigures(view, signal) {
  const others = REPORTS.filter((name) => name !== view.report);
  const answers = await Promise.all(others.map((name) => series(view, name, signal)));
  return Object.fromEntries(others.map((name, index) => [name, answers[index]]));
}

// A report that tells of one story or of all; `null` where several are picked.
export function loadOne(view, name, signal) {
  if (view.storyId.length > 1) return Promise.resolve(null);
  return ask(`/reports/${name}?${parametersOf(view, name)}`, { signal });
}

// The stories that are picked, by id; `null` for one that is not known.
export async function loadStories(ids, signal) {
  const rows = await Promise.all(ids.map((id) => ask(`/stories/${encodeURIComponent(id)}`, { signal }).catch((failure) => {
    if (failure.status === 404) return null;
    throw failure;
  })));
  return new Map(ids.map((id, index) => [id, rows[index]]));
}

// A page of the list of stories.
export function loadStoryList(search, limit, signal) {
  const query = new URLSearchParams(search ? { search, limit } : { limit });
  return ask(`/stories?${query}`, { signal });
}
