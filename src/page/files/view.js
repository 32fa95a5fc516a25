// Owns the view: what the page shows, as it stands in the address, with the names that the API has. Pure: knows no element and
// no clock. An address is read and written here alone, and reading what was written gives the same view.

export const REPORTS = ['conversations', 'conversations.paid', 'conversations.messages', 'conversations.average'];
export const PERIODS = [
  'today', 'yesterday', 'last7days', 'last30days', 'thisMonth', 'lastMonth', 'last3Months', 'thisYear', 'lastYear',
];
export const DIMENSIONS = ['auto', 'hour', 'day', 'month', 'year'];
export const COMPARISONS = ['weekday', 'previous', 'year', ''];
export const SOURCES = ['messenger', 'livechat', 'livechat3', 'slack', 'widget', 'app', 'custom'];
export const GROUPS = ['', 'source', 'storyId'];
export const WEEKS = ['mon', 'sat', 'sun'];
export const STORIES_PICKED_MAX = 20;

const STORY = /^[0-9A-Za-z]{24}$/;
const DATE = /^(\d{4}-\d{1,2}-\d{1,2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2}))?|\d{12,13})$/;
const ZONE = /^[A-Za-z][A-Za-z0-9_+\-/]{0,63}$/;

// What a fresh page shows. Zone and start of the week are the viewer's.
export function initialView(zone, week) {
  return {
    report: 'conversations', period: 'last30days', from: '', to: '', dimension: 'auto', compare: 'weekday', group: '',
    list: 'source', source: [], storyId: [], timezone: zone, live: true, table: false, heat: 'sum', week, wall: false,
  };
}

const oneOf = (values) => (text) => (values.includes(text) ? text : undefined);
const matching = (pattern) => (text) => (pattern.test(text) ? text : undefined);
const several = (isGood, most) => (text) => {
  const values = [...new Set(text.split(','))];
  return values.length <= most && values.every(isGood) ? values : undefined;
};
const flag = (text) => ({ 0: false, 1: true })[text];
const written = (value) => (typeof value === 'boolean' ? String(Number(value)) : String(value));

// How each parameter is read; `undefined` means that its value is none of its own.
const READERS = {
  report: oneOf(REPORTS), period: oneOf(PERIODS), from: matching(DATE), to: matching(DATE), dimension: oneOf(DIMENSIONS),
  compare: oneOf(COMPARISONS), group: oneOf(['source', 'storyId']), list: oneOf(['source', 'storyId']),
  source: several((source) => SOURCES.includes(source), SOURCES.length),
  storyId: several((story) => STORY.test(story), STORIES_PICKED_MAX), timezone: matching(ZONE),
  live: flag, table: flag, heat: oneOf(['sum', 'typical']), week: oneOf(WEEKS), wall: flag,
};
// Written even where they are as at first, so that a link shows everybody the same.
const ALWAYS = ['timezone', 'compare'];
// What stands for an absent parameter in an address that has others. The API's own where it has the parameter.
const ABSENT = { dimension: 'day' };

// The view of an address, and the parameters of it that were not understood.
export function readView(query, initial) {
  const pairs = [...new URLSearchParams(query)].map(([name, value]) => [name.replace(/\[\d*\]$/, ''), value]);
  const view = { ...initial, ...(pairs.length > 0 ? ABSENT : {}) };
  const faults = [];
  const lists = {};
  for (const [name, value] of pairs) {
    if (!Object.hasOwn(READERS, name)) {
      faults.push({ name, value });
      continue;
    }
    if (value === '' && name !== 'compare') continue;
    const isList = name === 'source' || name === 'storyId';
    const text = isList && lists[name] ? `${lists[name]},${value}` : value;
    const read = READERS[name](text);
    if (read === undefined) {
      faults.push({ name, value });
      continue;
    }
    if (isList) lists[name] = text;
    view[name] = read;
  }
  if (!pairs.some(([name]) => name === 'compare')) view.compare = initial.compare;
  return { view: settled(view), faults };
}

// Two things that say the same are one: an explicit range has no period.
function settled(view) {
  return view.from || view.to ? { ...view, period: 'last30days' } : view;
}

// The query of a view, without `?`.
export function addressOf(view, initial) {
  const base = { ...initial, ...ABSENT };
  const query = new URLSearchParams();
  for (const name of Object.keys(READERS)) {
    const text = written(view[name]);
    if (ALWAYS.includes(name) || text !== written(base[name])) query.append(name, text);
  }
  return query.toString().replaceAll('%2F', '/').replaceAll('%2C', ',').replaceAll('%3A', ':');
}

// The parameters with which a report is asked for.
export function parametersOf(view, name, { group = '', limit = 0 } = {}) {
  const query = new URLSearchParams();
  const isSeries = REPORTS.includes(name);
  const add = (key, value) => value && query.append(key, value);
  if (view.from || view.to) {
    add('from', view.from);
    add('to', view.to);
  } else {
    add('period', view.period);
  }
  if (isSeries) {
    add('dimension', view.dimension);
    add('group', group);
    add('compare', view.compare);
    if (group && limit) add('limit', String(limit));
  }
  add('source', view.source.join(','));
  add('storyId', view.storyId.join(','));
  add('timezone', view.timezone);
  return query.toString();
}

// How the figures and the chart are split; the list beside them shows these groups whether the chart is split or not.
export function groupOf(view) {
  return view.group || view.list;
}
