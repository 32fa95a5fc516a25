// Counts past 2⁵³: as many digits as the daemon sent.
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { brief, change, count, share, valueOf } from '../files/format.js';
import { Whole, parsed } from '../files/json.js';

const grouped = (digits) => digits.replace(/\B(?=(\d{3})+$)/g, ',');

test('every whole number is shown with the digits that it was sent with', () => {
  fc.assert(fc.property(fc.bigInt({ min: 0n, max: 2n ** 70n }), (number) => {
    const { summary, list } = parsed(`{"summary":{"total":${number}},"list":[ ${number},1]}`);
    assert.equal(count(summary.total), grouped(String(number)));
    assert.equal(valueOf('conversations', list[0]), grouped(String(number)));
    assert.equal(list[1], 1);
  }), { numRuns: 1_000 });
});

test('they reckon and compare as numbers do, and two that differ in their last digit differ', () => {
  const [value, next] = parsed('[18446744073709551614,18446744073709551615]');
  assert.ok(value instanceof Whole && next instanceof Whole);
  assert.equal(value + 0, 2 ** 64);
  assert.ok(value > 1 && !(value < 1) && Math.max(1, value) === 2 ** 64);
  assert.notEqual(JSON.stringify([value]), JSON.stringify([next]));
  assert.equal(brief(next), '18.45\u202fE');
  assert.equal(share(next, next), '100\u202f%');
  assert.equal(change(next, 0).text, 'new');
  assert.equal(count(value - 1), '≈ 18,446,744,073,709,552,000', 'what the page has reckoned itself is marked');
});

test('what is no such number is as it always was', () => {
  const text = '{"a":[0,-1,1.5,9007199254740991,12345678901234567.5,1e300,"18446744073709551615",null,true],"1234567890123456":{"b":"x: 18446744073709551615, \\"[18446744073709551615"},"c":[0.12345678901234567, -12345678901234567890]}';
  assert.deepEqual(parsed(text), JSON.parse(text));
  assert.throws(() => parsed('[18446744073709551615'), SyntaxError);
});
