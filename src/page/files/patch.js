// Applies the patches of a report's stream: JSON Patch (RFC 6902), of which a stream uses `replace` and `add`. Pure: what is
// given stays as it is, and what a patch does not touch is shared with it.

const unescaped = (token) => token.replaceAll('~1', '/').replaceAll('~0', '~');

// The document with all changes of the patch.
export function patched(document, patch) {
  return patch.reduce(changed, document);
}

function changed(document, { op, path, value }) {
  if (op !== 'replace' && op !== 'add') throw new Error(`a stream has no ${op}`);
  if (path === '') return value;
  if (!path.startsWith('/')) throw new Error(`no path: ${path}`);
  return put(document, path.slice(1).split('/').map(unescaped), op, value);
}

function put(target, [token, ...rest], op, value) {
  if (target === null || typeof target !== 'object') throw new Error(`nothing holds ${token}`);
  const isList = Array.isArray(target);
  const copy = isList ? [...target] : { ...target };
  const isLast = rest.length === 0;
  const key = isList ? place(token, target.length, isLast && op === 'add') : token;
  if ((!isLast || op === 'replace') && !Object.hasOwn(target, key)) throw new Error(`nothing is at ${token}`);
  if (!isLast) copy[key] = put(target[key], rest, op, value);
  else if (isList && op === 'add') copy.splice(key, 0, value);
  else Object.defineProperty(copy, key, { value, enumerable: true, configurable: true, writable: true });
  return copy;
}

function place(token, length, mayBeEnd) {
  if (token === '-' && mayBeEnd) return length;
  if (!/^(0|[1-9]\d*)$/.test(token)) throw new Error(`no place in a list: ${token}`);
  const index = Number(token);
  if (index > length || (index === length && !mayBeEnd)) throw new Error(`beyond the end of a list: ${token}`);
  return index;
}
