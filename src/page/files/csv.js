// Saves a report as the daemon's own CSV, with a byte order mark before it, since Excel needs one.

import { failed, open } from './api.js';
import { el } from './dom.js';

// Asks for it and hands it to the browser. Throws what went wrong.
export async function saveCsv(name, query) {
  const response = await open(`/reports/${name}?${query}&format=csv`);
  if (!response.ok) throw await failed(response);
  const bytes = await response.arrayBuffer();
  const found = /filename="([\w.-]+)"/.exec(response.headers.get('content-disposition') ?? '');
  const url = URL.createObjectURL(new Blob(['\ufeff', bytes], { type: 'text/csv;charset=utf-8' }));
  const link = el('a', { href: url, download: found?.[1] ?? `tallyd-${name}.csv` });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
