// Makes and fills elements. What a stranger wrote goes in as text only: nothing here reads markup, and what would hide or turn
// round a text is spelled out.

const SVG = 'http://www.w3.org/2000/svg';
// Control characters, and those that turn the direction of a text.
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

// A stranger's text with its hidden characters spelled as `\u{202e}`.
export function spelled(text) {
  return String(text).replace(HIDDEN, (hidden) => `\\u{${hidden.codePointAt(0).toString(16)}}`);
}

// An element: its tag with classes (`td.num`), its attributes and handlers (`onclick`), its children.
export function el(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split('.');
  return fill(document.createElement(name), classes, attributes, children);
}

// The same for a picture.
export function svg(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split('.');
  return fill(document.createElementNS(SVG, name), classes, attributes, children);
}

function fill(element, classes, attributes, children) {
  if (classes.length > 0) element.classList.add(...classes);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ''));
  return element;
}

// A stranger's name, with its own direction, in full in the tooltip.
export function named(text) {
  const shown = spelled(text);
  return el('bdi.name', { title: shown }, shown);
}

// The element of `index.html` by its id.
export function byId(id) {
  return document.getElementById(id);
}

// Puts children in place of those that are there, unless they say the same; what had the focus has it again.
export function refill(element, ...children) {
  const fresh = el('div', {}, ...children);
  const old = el('div');
  old.append(...element.cloneNode(true).childNodes);
  if (fresh.isEqualNode(old)) return;
  const path = pathTo(document.activeElement, element);
  element.replaceChildren(...fresh.childNodes);
  if (path !== null) path.reduce((node, index) => node?.children[index], element)?.focus({ preventScroll: true });
}

// The places of an element and those that hold it, from the outer one on; `null` where it is not within.
function pathTo(element, outer) {
  if (!outer.contains(element) || element === outer) return null;
  const path = [];
  for (let node = element; node !== outer; node = node.parentElement) path.unshift([...node.parentElement.children].indexOf(node));
  return path;
}

// Words for screen readers only.
export function unseen(text) {
  return el('span.unseen', {}, text);
}

// The colour of a property of the style sheet, as a canvas takes it.
export function colour(property) {
  const probe = byId('probe');
  probe.style.color = `var(${property})`;
  return getComputedStyle(probe).color;
}
