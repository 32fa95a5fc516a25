// Reads a stream of server-sent events, however its bytes are cut. Pure: bytes in, events out.

const BUFFERED_MAX = 16 * 1024 * 1024;

// Gives a function that takes bytes and returns the events that they complete: `{ event, data, id }`.
export function eventReader() {
  const decoder = new TextDecoder('utf-8');
  let rest = '';
  let event = { event: '', data: [], id: '' };
  const take = (line, events) => {
    if (line === '') {
      if (event.data.length > 0) events.push({ event: event.event || 'message', data: event.data.join('\n'), id: event.id });
      event = { event: '', data: [], id: event.id };
      return;
    }
    const colon = line.indexOf(':');
    if (colon === 0) return;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') event.data.push(value);
    else if (field === 'event') event.event = value;
    else if (field === 'id') event.id = value;
  };
  return (bytes) => {
    rest += decoder.decode(bytes, { stream: true });
    if (rest.length > BUFFERED_MAX) throw new Error('an event is too long');
    const events = [];
    // A CR at the very end may be half of a CRLF.
    const end = rest.endsWith('\r') ? rest.length - 1 : rest.length;
    const lines = rest.slice(0, end).split(/\r\n|\n|\r/);
    const last = lines.pop();
    rest = last + rest.slice(end);
    for (const line of lines) take(line, events);
    return events;
  };
}
