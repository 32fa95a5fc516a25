// Local days on the days when clocks change, whatever zone the machine has.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as t from '../files/time.js';

const at = (text) => Date.parse(text);

test('days begin where the zone says, short and long ones too', () => {
  for (const [zone, day, expected] of [
    ['Europe/Warsaw', '2026-03-29', '2026-03-28T23:00Z'], ['Europe/Warsaw', '2026-03-30', '2026-03-29T22:00Z'],
    ['Europe/Warsaw', '2026-10-26', '2026-10-25T23:00Z'], ['Asia/Kolkata', '2026-11-30', '2026-11-29T18:30Z'],
    ['Australia/Lord_Howe', '2026-04-06', '2026-04-05T13:30Z'], ['America/St_Johns', '2026-11-02', '2026-11-02T03:30Z'],
    ['America/Sao_Paulo', '2018-11-04', '2018-11-04T03:00Z'], ['UTC', '2026-01-01', '2026-01-01T00:00Z'],
  ]) {
    assert.equal(new Date(t.startOfDay(day, zone)).toISOString(), new Date(at(expected)).toISOString(), `${zone} ${day}`);
  }
});

test('a long and a short day are told', () => {
  assert.equal(t.oddDay(at('2026-10-24T22:00Z'), 'Europe/Warsaw'), '25-hour day, clocks went back');
  assert.equal(t.oddDay(at('2026-03-28T23:00Z'), 'Europe/Warsaw'), '23-hour day, clocks went forward');
  assert.equal(t.oddDay(at('2026-04-04T13:00Z'), 'Australia/Lord_Howe'), '24.5-hour day, clocks went back');
  assert.equal(t.oddDay(at('2026-11-29T23:00Z'), 'Europe/Warsaw'), '');
});

test('the hour that comes twice has its offset', () => {
  const name = (text) => t.bucketName(at(text), 'hour', 'Europe/Warsaw');
  assert.equal(name('2026-10-25T00:00Z'), '2026-10-25 02:00 (UTC+2)');
  assert.equal(name('2026-10-25T01:00Z'), '2026-10-25 02:00 (UTC+1)');
  assert.equal(name('2026-10-25T02:00Z'), '2026-10-25 03:00');
});

test('days and months add up over ends and leap years', () => {
  assert.equal(t.addDays('2026-11-29', 2), '2026-12-01');
  assert.equal(t.addDays('2024-03-01', -1), '2024-02-29');
  assert.equal(t.addMonths('2026-03-31', -1), '2026-02-28');
  assert.equal(t.addMonths('2024-01-31', 1), '2024-02-29');
  assert.equal(t.lastOfMonth('2026-02-10'), '2026-02-28');
  assert.equal(t.daysOf('2026-10-31', '2026-11-29'), 30);
});

test('ranges and offsets read well', () => {
  assert.equal(t.rangeWords('2026-10-31', '2026-11-29'), '31 Oct – 29 Nov 2026');
  assert.equal(t.rangeWords('2025-12-31', '2026-01-02'), '31 Dec 2025 – 2 Jan 2026');
  assert.equal(t.offsetText(at('2026-07-01T00:00Z'), 'America/St_Johns'), 'UTC−2:30');
});
