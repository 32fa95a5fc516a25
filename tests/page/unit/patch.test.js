// Patches of a stream, by the cases of RFC 6902 that it uses.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { patched } from '../files/patch.js';

const good = [
  ['add to an object (A.1)', { foo: 'bar' }, [{ op: 'add', path: '/baz', value: 'qux' }], { baz: 'qux', foo: 'bar' }],
  ['add within a list (A.2)', { foo: ['bar', 'baz'] }, [{ op: 'add', path: '/foo/1', value: 'qux' }], { foo: ['bar', 'qux', 'baz'] }],
  ['replace a value (A.5)', { baz: 'qux', foo: 'bar' }, [{ op: 'replace', path: '/baz', value: 'boo' }], { baz: 'boo', foo: 'bar' }],
  ['add a nested object (A.10)', { foo: 'bar' }, [{ op: 'add', path: '/child', value: { a: {} } }], { foo: 'bar', child: { a: {} } }],
  ['members that are not known are ignored (A.11)', { foo: 'bar' }, [{ op: 'add', path: '/baz', value: 'qux', xyz: 123 }], { foo: 'bar', baz: 'qux' }],
  ['escapes (A.14)', { '/': 9, '~1': 10 }, [{ op: 'replace', path: '/~01', value: 11 }], { '/': 9, '~1': 11 }],
  ['an array at the end (A.16)', { foo: ['bar'] }, [{ op: 'add', path: '/foo/-', value: ['abc', 'def'] }], { foo: ['bar', ['abc', 'def']] }],
  ['the whole document', { foo: 1 }, [{ op: 'replace', path: '', value: [] }], []],
  ['the end by its number', { foo: [1] }, [{ op: 'add', path: '/foo/1', value: 2 }], { foo: [1, 2] }],
  ['a name that objects have', {}, [{ op: 'add', path: '/__proto__', value: 1 }], JSON.parse('{"__proto__":1}')],
];
for (const [name, document, patch, expected] of good) {
  test(name, () => {
    const before = structuredClone(document);
    assert.deepEqual(patched(document, patch), expected);
    assert.deepEqual(document, before, 'what is given stays');
  });
}

const bad = [
  ['to a target that is not there (A.12)', { foo: 'bar' }, [{ op: 'add', path: '/baz/bat', value: 'qux' }]],
  ['replace of nothing', { foo: 'bar' }, [{ op: 'replace', path: '/baz', value: 1 }]],
  ['beyond the end', { foo: [] }, [{ op: 'add', path: '/foo/1', value: 1 }]],
  ['replace at the end', { foo: [1] }, [{ op: 'replace', path: '/foo/-', value: 1 }]],
  ['a place with a zero before it', { foo: [1, 2] }, [{ op: 'replace', path: '/foo/01', value: 1 }]],
  ['another operation', { foo: 1 }, [{ op: 'remove', path: '/foo' }]],
  ['a path without a slash', { foo: 1 }, [{ op: 'replace', path: 'foo', value: 1 }]],
];
for (const [name, document, patch] of bad) test(`refused: ${name}`, () => assert.throws(() => patched(document, patch)));

test('replacing any number of a report leaves the rest as it was, and the same objects', () => {
  const reports = fc.array(fc.nat(), { minLength: 2, maxLength: 20 });
  fc.assert(fc.property(reports, fc.nat(), fc.nat(), (values, at, value) => {
    const index = at % values.length;
    const report = { data: values.map((of) => ({ value: of })), summary: { total: 1 } };
    const next = patched(report, [{ op: 'replace', path: `/data/${index}/value`, value }]);
    assert.deepEqual(next.data.map((point) => point.value), values.with(index, value));
    assert.equal(next.summary, report.summary);
    assert.equal(next.data[(index + 1) % values.length], report.data[(index + 1) % values.length]);
  }));
});
