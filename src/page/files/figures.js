// The four figures above the chart: each with its change, the number before and a line. A figure makes it the chart.

import { byId, el, refill, svg, unseen } from './dom.js';
import { briefValueOf, change, share, valueOf } from './format.js';
import { averageOf, totalOf } from './model.js';
import { REPORTS } from './view.js';

export const LABELS = {
  conversations: 'Conversations', 'conversations.paid': 'Paid conversations', 'conversations.messages': 'Messages',
  'conversations.average': 'Messages per conversation',
};
const [WIDTH, HEIGHT] = [96, 32];

// Draws them of the answers by report. `chosen` is told which becomes the chart.
export function drawFigures(answers, report, chosen) {
  const host = byId('figures');
  REPORTS.forEach((name, index) => {
    const button = host.children[index];
    const answer = answers[name];
    button.onclick = () => chosen(name);
    button.setAttribute('aria-pressed', String(name === report));
    button.title = `Chart this ( ${index + 1} )`;
    if (!answer) return;
    const average = name === 'conversations.average';
    const total = totalOf(answer, average);
    const earlierTotal = answer.compare ? totalOf(answer.compare, average) : null;
    const text = briefValueOf(name, total);
    const old = button.querySelector('.value')?.textContent;
    refill(button,
      el('span.label', {}, label(name)),
      el('b.value', { title: valueOf(name, total) }, text),
      el('span.sub', {}, changeOf(...(average ? exact(answers, answer) : [total, earlierTotal])), below(name, answers, total, earlierTotal)),
      spark(answer.data.map((point) => point.value)));
    if (old && old !== text) flash(button.querySelector('.value'));
  });
}

function label(name) {
  return name === 'conversations.average' ? shortened('Messages per conversation', 'Per conversation') : LABELS[name];
}

function shortened(long, short) {
  return matchMedia('(max-width: 1000px)').matches ? short : long;
}

// The average and the one before, not rounded.
function exact({ 'conversations.messages': messages, conversations }, answer) {
  const { compare } = answer;
  return [averageOf(answer, messages, conversations), compare ? averageOf(compare, messages?.compare, conversations?.compare) : null];
}

function changeOf(value, before) {
  const found = change(value, before);
  if (!found) return null;
  return el('b', {}, el('span', { 'aria-hidden': 'true' }, `${found.sign} ${found.text}`.trim()), unseen(found.words));
}

function below(name, answers, total, before) {
  if (name === 'conversations.paid' && answers.conversations) return el('span', {}, `${share(total, answers.conversations.summary.total)} of all`);
  return before === null ? null : el('span', { title: valueOf(name, before) }, `${briefValueOf(name, before)} before`);
}

// A changed number is tinted for a moment.
function flash(element) {
  element.classList.remove('changed');
  // Reading the layout lets the animation begin anew.
  element.getBoundingClientRect();
  element.classList.add('changed');
}

function spark(values) {
  const most = values.reduce((a, b) => Math.max(a, b), 0) || 1;
  const step = values.length > 1 ? WIDTH / (values.length - 1) : 0;
  const places = values.map((value, index) => `${(index * step).toFixed(1)} ${(HEIGHT - 2 - (value / most) * (HEIGHT - 4)).toFixed(1)}`);
  const path = values.length > 1 && values.length <= 2_000 ? `M${places.join('L')}` : '';
  return svg('svg.spark', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, 'aria-hidden': 'true' }, svg('path', { d: path }));
}
