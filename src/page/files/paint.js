// Paints the marks of the charted report on a canvas: bars or steps, markers of the values before, lines of averages, hatching
// of what is not over. Knows the scales by two functions; whoever wants to check the marks hears of them by `tallyd:drawn`.

import { colour } from './dom.js';
import { otherOf } from './model.js';
import * as time from './time.js';

export const BARS_MAX = 120;
const POINTS_MAX = 60;
const GROUPS_MAX = 7;
const BAR_SHARE = 0.68;

// The layers of a chart from the ground up: groups in their order, then Other; or the whole.
export function layersOf(chart) {
  if (!chart.split) {
    return [{ key: 'all', name: 'All', property: '--bar', values: chart.points.map((point) => point.value) }];
  }
  const shown = chart.groups.slice(0, GROUPS_MAX);
  const other = otherOf(chart, shown);
  return [...shown, ...(other ? [other] : [])].map((group) => ({ ...group, property: `--c${group.colour}` }));
}

// Paints everything. `x` and `y` give places on the canvas of an index and a value, `box` is the plot.
export function paint(context, chart, { x, y, box, ratio }) {
  const brush = { context, chart, x, y, box, ratio, marks: [], surface: colour('--surface'), before: colour('--before') };
  context.save();
  context.beginPath();
  context.rect(box.left, box.top, box.width, box.height);
  context.clip();
  const layers = layersOf(chart);
  if (chart.average) lines(brush, layers);
  else if (chart.points.length <= BARS_MAX) bars(brush, layers);
  else steps(brush, layers);
  if (chart.pairing === 'paired') befores(brush);
  context.restore();
  document.dispatchEvent(new CustomEvent('tallyd:drawn', { detail: { marks: brush.marks, ratio, box } }));
}

// Paints the ground: hatching where nothing can be known, weekends where buckets are days or hours.
export function paintGround(context, chart, { x, box, ratio }) {
  paintWeekends(context, chart, { x, box });
  if (!chart.points.some((point) => point.unknown)) return;
  context.fillStyle = hatch({ context, ratio, surface: colour('--surface') }, colour('--grid'));
  const half = (x(1) - x(0)) / 2;
  chart.points.forEach((point, index) => {
    if (point.unknown) context.fillRect(x(index) - half, box.top, half * 2, box.height);
  });
}

function paintWeekends(context, chart, { x, box }) {
  if (chart.unit !== 'day' && chart.unit !== 'hour') return;
  context.fillStyle = colour('--weekend');
  const half = (x(1) - x(0)) / 2;
  chart.points.forEach((point, index) => {
    if (![0, 6].includes(time.weekday(time.day(point.ms, chart.zone)))) return;
    context.fillRect(Math.floor(x(index) - half), box.top, Math.ceil(half * 2), box.height);
  });
}

const isPartial = (chart, index) =>
  index === chart.openAt || (chart.isCutAtFirst && index === 0);

function hatch({ context, ratio, surface }, fill) {
  const size = Math.round(6 * ratio);
  const tile = document.createElement('canvas');
  [tile.width, tile.height] = [size, size];
  const brush = tile.getContext('2d');
  brush.fillStyle = surface;
  brush.fillRect(0, 0, size, size);
  brush.strokeStyle = fill;
  brush.lineWidth = 2.4 * ratio;
  for (const at of [-size, 0, size]) {
    brush.moveTo(at - size, size * 2);
    brush.lineTo(at + size * 2, -size);
  }
  brush.stroke();
  return context.createPattern(tile, 'repeat');
}

function barWidth({ x, ratio }) {
  return Math.max(1, Math.min(Math.round((x(1) - x(0)) * BAR_SHARE), 64 * ratio));
}

function bars(brush, layers) {
  const { context, chart, x, y, ratio, marks } = brush;
  const width = barWidth(brush);
  const gap = layers.length > 1 ? ratio : 0;
  const fills = layers.map((layer) => colour(layer.property));
  const hatches = fills.map((fill) => hatch(brush, fill));
  chart.points.forEach((point, index) => {
    const left = Math.round(x(index) - width / 2);
    let under = 0;
    layers.forEach((layer, rank) => {
      const value = layer.values[index] ?? 0;
      if (value <= 0) return;
      const [bottom, top] = [y(under), y(under + value)];
      under += value;
      const height = Math.max(bottom - top - (under > value ? gap : 0), Math.min(ratio, bottom - top));
      context.fillStyle = isPartial(chart, index) ? hatches[rank] : fills[rank];
      const isTop = rank === layers.length - 1 || under >= point.value;
      block(context, { left, top, width, height }, isTop ? Math.min(3 * ratio, width / 3, height) : 0);
      marks.push({ bucket: index, group: layer.key, value, left, top, width, height: bottom - top, partial: isPartial(chart, index) });
    });
  });
}

function block(context, { left, top, width, height }, radius) {
  context.beginPath();
  context.roundRect(left, top, width, height, [radius, radius, 0, 0]);
  context.fill();
}

// More buckets than bars would be readable for: areas with a step at each bucket.
function steps(brush, layers) {
  const { context, chart, x, y, marks } = brush;
  const step = x(1) - x(0);
  const under = chart.points.map(() => 0);
  for (const layer of layers) {
    const top = under.map((value, index) => value + (layer.values[index] ?? 0));
    context.beginPath();
    top.forEach((value, index) => {
      context.lineTo(x(index) - step / 2, y(value));
      context.lineTo(x(index) + step / 2, y(value));
    });
    for (let index = under.length - 1; index >= 0; index -= 1) {
      context.lineTo(x(index) + step / 2, y(under[index]));
      context.lineTo(x(index) - step / 2, y(under[index]));
    }
    context.fillStyle = colour(layer.property);
    context.fill();
    top.forEach((value, index) => {
      marks.push({
        bucket: index, group: layer.key, value: value - under[index], left: x(index) - step / 2, top: y(value), width: step,
        height: y(under[index]) - y(value), partial: isPartial(chart, index),
      });
      under[index] = value;
    });
  }
}

// Lines of averages, with gaps where no conversation was.
function lines(brush, layers) {
  const { context, chart, x, y, ratio, marks, box } = brush;
  for (const layer of layers) {
    context.strokeStyle = context.fillStyle = colour(layer.property);
    context.lineWidth = 2 * ratio;
    context.lineJoin = 'round';
    context.setLineDash([]);
    context.beginPath();
    let isDrawing = false;
    chart.points.forEach((point, index) => {
      const value = layer.values[index] ?? 0;
      if (value <= 0) {
        isDrawing = false;
        return;
      }
      if (isDrawing) context.lineTo(x(index), y(value));
      else context.moveTo(x(index), y(value));
      isDrawing = true;
    });
    context.stroke();
    layer.values.forEach((value, index) => {
      if (value <= 0) return;
      const isAlone = !(layer.values[index - 1] > 0) && !(layer.values[index + 1] > 0);
      marks.push({ bucket: index, group: layer.key, value, left: x(index), top: y(value), width: 0, height: y(0) - y(value), partial: isPartial(chart, index) });
      if (chart.points.length > POINTS_MAX && !isAlone) return;
      context.beginPath();
      context.arc(x(index), y(value), 2.6 * ratio, 0, Math.PI * 2);
      if (isPartial(chart, index)) {
        context.fillStyle = brush.surface;
        context.fill();
        context.stroke();
        context.fillStyle = context.strokeStyle;
      } else context.fill();
    });
  }
  if (!(chart.overall > 0)) return;
  context.strokeStyle = colour('--text-3');
  context.lineWidth = ratio;
  context.setLineDash([5 * ratio, 4 * ratio]);
  context.beginPath();
  context.moveTo(box.left, Math.round(y(chart.overall)) + 0.5);
  context.lineTo(box.left + box.width, Math.round(y(chart.overall)) + 0.5);
  context.stroke();
  context.setLineDash([]);
}

// The values before: a short line with a halo over each bar, or one stepped line.
function befores(brush) {
  const { context, chart, x, y, ratio, surface, before } = brush;
  const step = x(1) - x(0);
  const isMany = chart.points.length > BARS_MAX;
  const half = isMany ? step / 2 : Math.min(barWidth(brush) / 2 + 3 * ratio, step / 2 - ratio / 2);
  const trace = (widen) => {
    context.beginPath();
    chart.points.forEach((point, index) => {
      if (point.before === null || (chart.average && point.before === 0)) return;
      const at = Math.round(y(point.before));
      if (!isMany || index === 0) context.moveTo(x(index) - half - widen, at);
      else context.lineTo(x(index) - half, at);
      context.lineTo(x(index) + half + widen, at);
    });
    context.stroke();
  };
  if (!isMany) {
    context.strokeStyle = surface;
    context.lineWidth = 4 * ratio;
    trace(ratio);
  }
  context.strokeStyle = before;
  context.lineWidth = (isMany ? 1.2 : 2) * ratio;
  trace(0);
}
