// The stream is read the same however its bytes are cut.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventReader } from '../files/sse.js';

const TEXT = ': 2026-11-29T13:03:22.000Z\r\nretry: 3000\n\nid: 5f1c\nevent: report\ndata: {"name":"ż🙂"}\n\nid: 81b9\r\nevent: change\r\ndata: [1,\r\ndata:2]\r\n\r\n' +
  'data: x\r\rnothing\n\nevent: end\ndata: {"reason":"stopping"}\n\ndata: cut off';
const EXPECTED = [
  { event: 'report', data: '{"name":"ż🙂"}', id: '5f1c' }, { event: 'change', data: '[1,\n2]', id: '81b9' },
  { event: 'message', data: 'x', id: '81b9' }, { event: 'end', data: '{"reason":"stopping"}', id: '81b9' },
];

test('every split of the bytes in two, and byte by byte', () => {
  const bytes = new TextEncoder().encode(TEXT);
  for (let cut = 0; cut <= bytes.length; cut += 1) {
    const read = eventReader();
    assert.deepEqual([...read(bytes.slice(0, cut)), ...read(bytes.slice(cut))], EXPECTED, `cut at ${cut}`);
  }
  const read = eventReader();
  assert.deepEqual([...bytes].flatMap((byte) => read(Uint8Array.of(byte))), EXPECTED);
});

test('an event without an end is not kept for ever', () => {
  const read = eventReader();
  const block = new TextEncoder().encode(`data: ${'x'.repeat(1 << 20)}`);
  assert.throws(() => { for (let times = 0; times < 20; times += 1) read(block); });
});
