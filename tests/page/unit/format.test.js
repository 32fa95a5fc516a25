// Numbers as people read them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as f from '../files/format.js';

const plain = (text) => text.replaceAll('\u202f', ' ');

test('counts are whole up to six digits, then in millions', () => {
  for (const [value, expected] of [[0, '0'], [999_999, '999,999'], [1_000_000, '1.00 M'], [1_240_000, '1.24 M'], [2_500_000_000, '2.50 G']]) {
    assert.equal(plain(f.brief(value)), expected);
  }
  assert.equal(f.count(2 ** 53), '≈ 9,007,199,254,740,992');
  assert.equal(f.count(2 ** 53 - 1), '9,007,199,254,740,991');
});

test('shares below ten percent have a decimal', () => {
  for (const [value, expected] of [[0, '0 %'], [0.04, '0.0 %'], [9.94, '9.9 %'], [9.96, '10 %'], [14.5, '15 %'], [100, '100 %']]) {
    assert.equal(plain(f.percent(value)), expected);
  }
  assert.equal(f.share(1, 0), '–');
});

test('a change has its sign, and words where it has none', () => {
  for (const [value, before, expected] of [
    [112, 100, '▲ 12 %'], [96.9, 100, '▼ 3.1 %'], [5, 0, 'new'], [0, 0, '–'], [0, 5, '▼ 100 %'], [100, 100, '0 %'], [7, null, ''],
  ]) {
    assert.equal(plain(f.changeText(value, before)), expected, `${value} ${before}`);
  }
});

test('bounds are rounded to two digits', () => {
  for (const [value, expected] of [[0, 0], [7.4, 7], [99, 99], [144, 140], [1_251, 1_300], [98_765, 99_000]]) assert.equal(f.twoDigits(value), expected);
});
