// The chart: uPlot gives axes, cursor and selection; `paint.js` the marks. x is the index of a bucket, so that long and short
// days are as wide as any. Zooms are told to whoever made the chart.

import { byId, colour, el } from './dom.js';
import { brief, average } from './format.js';
import { BARS_MAX, layersOf, paint, paintGround } from './paint.js';
import { said, tooltip } from './tooltip.js';
import * as time from './time.js';

const LABEL_PX = 76;
const TOUCH_PX = 24;
const WHOLE_STEPS = [];
for (let power = 0; power < 18; power += 1) for (const digit of [1, 2, 5]) WHOLE_STEPS.push(digit * 10 ** power);

let plot = null;
let shown = null;
let tip = null;

// Draws the chart, or draws it anew where only its values have changed.
export function drawChart(chart, figures, label, zoomed) {
  const host = byId('plot');
  const isSame = plot !== null && shown.chart.points.length === chart.points.length && shown.chart.unit === chart.unit &&
    shown.chart.zone === chart.zone && shown.chart.report === chart.report && shown.chart.points[0]?.ms === chart.points[0]?.ms &&
    shown.width === host.clientWidth;
  const cursor = isSame ? plot.cursor.idx : null;
  shown = { chart, figures, label, zoomed, width: host.clientWidth };
  if (chart.points.length === 0) {
    clearChart();
    return;
  }
  const data = [chart.points.map((_, index) => index), chart.points.map((point) => point.value)];
  if (isSame) {
    plot.setData(data, false);
    plot.setScale('y', { min: 0, max: topOf(chart) });
    plot.setScale('x', { min: -0.5, max: chart.points.length - 0.5 });
    plot.redraw(false);
    if (cursor !== null) showTip(cursor);
    return;
  }
  clearChart();
  plot = new window.uPlot(options(host), data, host);
  zoomByTouch(plot);
}

// uPlot knows mice only: a finger that is drawn over the chart marks what to zoom into.
function zoomByTouch(u) {
  let from = null;
  const place = (event) => event.changedTouches[0].clientX - u.over.getBoundingClientRect().left;
  u.over.addEventListener('touchstart', (event) => { from = event.touches.length === 1 ? place(event) : null; }, { passive: true });
  u.over.addEventListener('touchmove', (event) => {
    if (from === null) return;
    const to = place(event);
    u.setSelect({ left: Math.min(from, to), width: Math.abs(to - from), top: 0, height: u.over.clientHeight }, false);
  }, { passive: true });
  u.over.addEventListener('touchend', () => { if (from !== null && u.select.width > TOUCH_PX) select(u); from = null; });
}

export function clearChart() {
  plot?.destroy();
  plot = null;
  tip?.remove();
  tip = null;
}

export function resizeChart() {
  if (shown === null || plot === null) return;
  const { chart, figures, label, zoomed } = shown;
  if (byId('plot').clientWidth !== shown.width) drawChart(chart, figures, label, zoomed);
}

// The greatest value that has to have room, with some air above it.
function topOf(chart) {
  const befores = chart.pairing === 'paired' ? chart.points.map((point) => point.before ?? 0) : [];
  const lines = chart.average ? layersOf(chart).flatMap((layer) => layer.values) : [];
  let most = 0;
  for (const value of [...chart.points.map((point) => point.value), ...befores, ...lines]) if (value > most) most = value;
  return (most || 1) / 0.94;
}

function options(host) {
  const { chart } = shown;
  const [text, grid] = [colour('--text-3'), colour('--grid')];
  const font = `12px system-ui, -apple-system, "Segoe UI", "Noto Sans", Roboto, sans-serif`;
  const labels = labelsOf(chart, host.clientWidth);
  return {
    width: host.clientWidth, height: host.clientHeight, legend: { show: false }, padding: [8, 4, 0, 0],
    scales: { x: { time: false, range: [-0.5, chart.points.length - 0.5] }, y: { range: () => [0, topOf(shown.chart)] } },
    series: [{}, { paths: () => null, points: { show: false } }],
    axes: [
      { stroke: text, font, grid: { show: false }, ticks: { show: false }, size: 28, gap: 6,
        splits: () => labels.map(([index]) => index), values: () => labels.map(([, words]) => words) },
      { stroke: text, font, grid: { stroke: grid, width: 1 }, ticks: { show: false }, size: 52, gap: 6, space: 44,
        ...(chart.average ? {} : { incrs: WHOLE_STEPS }),
        values: (_, splits) => splits.map((value) => (chart.average && splits.some((split) => !Number.isInteger(split)) ? average(value) : brief(value))) },
    ],
    cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false }, bind: { dblclick: () => null } },
    hooks: {
      drawClear: [(u) => paintGround(u.ctx, shown.chart, geometry(u))],
      draw: [drawMarks],
      setCursor: [(u) => showTip(u.cursor.idx)],
      setSelect: [select],
    },
  };
}

function geometry(u) {
  const ratio = window.uPlot.pxRatio;
  return { x: (index) => u.valToPos(index, 'x', true), y: (value) => u.valToPos(value, 'y', true), box: u.bbox, ratio };
}

function drawMarks(u) {
  const { chart } = shown;
  const place = geometry(u);
  paint(u.ctx, chart, place);
  const open = chart.openAt;
  const { ctx } = u;
  ctx.font = `${11.5 * place.ratio}px system-ui, sans-serif`;
  ctx.fillStyle = colour('--text-3');
  if (open >= 0 && place.x(1) - place.x(0) > 24 * place.ratio && chart.points.length <= BARS_MAX) {
    const most = chart.points[open].value;
    const right = Math.min(place.x(open) + 22 * place.ratio, place.box.left + place.box.width);
    ctx.textAlign = 'right';
    ctx.fillText('so far', right, place.y(most) - 6 * place.ratio);
  }
  if (chart.average && chart.overall > 0) {
    ctx.textAlign = 'right';
    ctx.fillText(`overall ${average(chart.overall)}`, place.box.left + place.box.width - 2 * place.ratio, place.y(chart.overall) - 5 * place.ratio);
  }
}

// Which buckets have a label: Mondays, firsts of months, midnights; as many as there is room for.
function labelsOf(chart, width) {
  const { points, unit, zone } = chart;
  const room = Math.max(2, Math.floor((width - 56) / LABEL_PX));
  const brief = width < 520;
  const days = points.map((point) => time.day(point.ms, zone));
  const dayLabel = (index) => time.dayWords(days[index], days[0], brief ? { day: 'numeric', month: 'short' } : undefined);
  const fit = (indexes, words) => {
    const stride = Math.ceil(indexes.length / room) || 1;
    return whole(indexes.filter((_, rank) => rank % stride === 0).map((index) => [index, words(index)]));
  };
  // A label that the edge would cut is left out.
  const px = (width - 60) / points.length;
  const whole = (labels) => labels.filter(([index, words]) => words.length * 3.7 < (points.length - index - 0.5) * px + 6);
  const all = points.map((_, index) => index);
  if (unit === 'year') return fit(all, (index) => days[index].slice(0, 4));
  if (unit === 'month') return fit(all, (index) => monthWords(days[index], index === 0 || days[index].endsWith('-01-01')));
  if (unit === 'day') {
    if (points.length <= 9) return fit(all, dayLabel);
    const mondays = all.filter((index) => time.weekday(days[index]) === 1);
    if (points.length <= 100) return fit(mondays, dayLabel);
    return fit(all.filter((index) => days[index].endsWith('-01')), (index) => monthWords(days[index], true));
  }
  const midnights = all.filter((index) => index === 0 || days[index] !== days[index - 1]);
  if (midnights.length > 2) return fit(midnights.filter((index) => index > 0 || time.clock(points[0].ms, zone).hour < 12), dayLabel);
  const every = [1, 2, 3, 4, 6, 12].find((hours) => points.length / hours <= room) ?? 12;
  return whole(all.filter((index) => time.clock(points[index].ms, zone).hour % every === 0).map((index) => [index, time.timeWords(points[index].ms, zone)]));
}

function monthWords(day, withYear) {
  return time.dayWords(day, withYear ? '' : day, { month: 'short' });
}

function showTip(index) {
  const { chart, figures, label } = shown;
  if (index === null || index === undefined || !chart.points[index] || plot === null) {
    tip?.remove();
    tip = null;
    return;
  }
  tip ??= byId('plot-group').appendChild(el('div.tooltip', { 'aria-hidden': 'true' }));
  tip.replaceChildren(...tooltip(chart, index, figures, label));
  const host = byId('plot-group');
  const at = plot.valToPos(index, 'x') + plot.bbox.left / window.uPlot.pxRatio;
  const isLeft = at > host.clientWidth / 2;
  tip.style.left = `${Math.max(0, isLeft ? at - tip.offsetWidth - 14 : Math.min(at + 14, host.clientWidth - tip.offsetWidth))}px`;
  tip.style.top = '4px';
}

function select(u) {
  const { left, width } = u.select;
  if (width < 6) return;
  const [first, last] = [u.posToIdx(left), u.posToIdx(left + width)];
  u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
  shown.zoomed(first, last);
}

// Moves the cursor by keys: buckets, weeks or days, ends; Enter zooms into the bucket. Whether the key was one of these.
export function chartKey(key) {
  if (plot === null) return false;
  const { chart, zoomed } = shown;
  const last = chart.points.length - 1;
  const page = { hour: 24, day: 7, month: 12, year: 10 }[chart.unit];
  const at = plot.cursor.idx;
  const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -page, PageDown: page };
  let next = null;
  if (key in steps) next = at === null || at === undefined ? (steps[key] < 0 ? last : 0) : at + steps[key];
  else if (key === 'Home') next = 0;
  else if (key === 'End') next = last;
  else if (key === 'Enter' && at !== null && at !== undefined) {
    zoomed(at, at);
    return true;
  } else return false;
  next = Math.min(Math.max(next, 0), last);
  plot.setCursor({ left: plot.valToPos(next, 'x'), top: 10 });
  byId('bucket-said').textContent = said(chart, next);
  return true;
}

export function hideTip() {
  if (plot?.cursor.idx === null || plot === null) return false;
  plot.setCursor({ left: -10, top: -10 });
  return true;
}
