// The tools card: what is selected, shapes from -> to, the depth curve, on and off, the readout, the keys.

import { announce, h, setOptions, setText } from "./dom.js";
import { field } from "./fields.js";
import { CURVES, shapeValue } from "./formula.js";
import { lens, rankText, ratioText } from "./lens.js";
import { lrText, parseNumber, timesText } from "./numbers.js";
import { isOff, setOff } from "./state.js";
import { app, blocks, chosen, draw, edit, hasModules, lrOf } from "./store.js";

const HINTS = [
  ["drag", "paint"],
  ["Shift drag", "ramp"],
  ["Ctrl drag", "select"],
  ["double click", "\u00d71"],
  ["click number", "on or off"],
  ["click value", "type"],
  ["\u2190 \u2192", "block"],
  ["\u2191 \u2193", "0.05 (Shift 0.25, Alt 0.01)"],
  ["PgUp PgDn", "\u00d72, \u00f72"],
  ["1 0 O", "\u00d71, zero, on or off"],
  ["Enter", "type"],
  ["Space, Shift \u2190 \u2192, Ctrl A, Esc", "select"],
  ["Ctrl Z", "undo"],
];

const nodes = {};

function button(text, onclick, attributes = {}) {
  return h("button", { type: "button", onclick, ...attributes }, text);
}

/** A number field of the tools, held by the page only. */
function number(label, value, allowed, low, high) {
  const parse = (text) => {
    const found = parseNumber(text);
    return found !== null && found >= low && found <= high ? text : null;
  };
  const spec = { label, value, placeholder: "", parse, allowed };
  return field(spec, () => {}, { size: 4 });
}

export function makeTools(card) {
  nodes.count = h("strong", {});
  nodes.shape = h("select", { "aria-label": "Shape" }, ...Object.keys(CURVES).map((name) => h("option", { value: name }, name)));
  nodes.shape.value = "linear";
  nodes.from = number("Shape from", "1", "a number from 0", 0, 1e6);
  nodes.to = number("Shape to", "0.3", "a number from 0", 0, 1e6);
  nodes.peak = number("Shape's peak", "0.5", "a number 0..1", 0, 1);
  nodes.peakBox = h("label", {}, "peak ", nodes.peak);
  nodes.shape.addEventListener("change", () => draw());
  nodes.curve = h("select", { "aria-label": "Depth curve", onchange: () => setDepth({ strategy: nodes.curve.value }) });
  setOptions(nodes.curve, Object.keys(CURVES));
  nodes.min = depthNumber("min", "Curve's lowest factor", "0..1");
  nodes.peakPosition = depthNumber("peak", "Curve's peak position", "0..1");
  nodes.scope = h("select", { "aria-label": "Curve's scope", onchange: () => setDepth({ scope: nodes.scope.value }) });
  setOptions(nodes.scope, [["stack", "each stack"], ["model", "whole model"]]);
  nodes.levels = h("input", { type: "number", min: 0, max: 99, "aria-label": "Curve's levels (0 is exact)", onchange: setLevels });
  nodes.levelsBox = h("label", {}, "levels ", nodes.levels);
  nodes.peakPositionBox = h("label", {}, "peak ", nodes.peakPosition);
  nodes.lowestBox = h("label", {}, "lowest ", nodes.min);
  nodes.overall = overall();
  nodes.dims = dims();
  nodes.readout = h("output", { id: "readout", "aria-label": "Readout" });
  nodes.curveLine = h(
    "div",
    { class: "tool", id: "curve-tool" },
    h("span", { class: "what" }, "Curve"),
    nodes.curve,
    nodes.lowestBox,
    nodes.peakPositionBox,
    nodes.scope,
    nodes.levelsBox,
  );
  card.append(
    h("h2", { id: "tools-title" }, "Tools"),
    h(
      "div",
      { class: "tool" },
      nodes.count,
      button("All", () => select(true), { "aria-label": "Select all blocks" }),
      button("None", () => select(false), { "aria-label": "Select no block" }),
      button("On/off", onOff, { id: "onoff" }),
      button("\u00d71", () => setAll("x1", () => lens().one), { id: "times1", "aria-label": "Set to x1" }),
    ),
    h(
      "div",
      { class: "tool", id: "shape-tool" },
      h("span", { class: "what" }, "Shape"),
      nodes.shape,
      h("label", {}, "from ", nodes.from),
      h("label", {}, "to ", nodes.to),
      nodes.peakBox,
      button("Apply", applyShape, { id: "apply-shape" }),
    ),
    nodes.curveLine,
    nodes.overall,
    nodes.dims,
    nodes.readout,
    h("details", { id: "hints" }, h("summary", {}, "Keys and gestures"), h("dl", {}, ...HINTS.map(([keys, what]) => h("div", {}, h("dt", {}, keys), h("dd", {}, what))))),
  );
}

function depthNumber(key, label, allowed) {
  const parse = (text) => {
    const value = parseNumber(text);
    return value !== null && value >= 0 && value <= 1 ? text : null;
  };
  return field({ label, value: "", placeholder: "", parse, allowed }, (text) => setDepth({ [key]: Number(text) }), { size: 4 });
}

function setDepth(change) {
  edit(`curve ${Object.values(change)[0]}`, (state) => {
    const depth = { ...state.depth, ...change };
    const blank = { min: 0.3, peak: 0.5 };
    if (depth.strategy === "flat") Object.assign(depth, { ...blank, scope: "stack", levels: 0 });
    if (depth.strategy !== "inverted_u") depth.peak = blank.peak;
    state.depth = depth;
  });
}

function setLevels() {
  const levels = Math.max(0, Math.round(Number(nodes.levels.value) || 0));
  setDepth({ levels: levels === 1 ? 2 : levels });
}

/** LoRA+ for everything that has no ratio of its own. */
function overall() {
  const box = h("div", { class: "tool", id: "loraplus-tool" }, h("span", { class: "what" }, "LoRA+ ratio"));
  nodes.ratios = {};
  for (const [key, title] of [["", "everywhere"], ["unet", "U-Net or DiT"]]) {
    const spec = { label: `LoRA+ ratio ${title}`, value: "", placeholder: "\u00d71", parse: ratioText, allowed: "a ratio above 0 (16), or nothing" };
    const input = field(
      spec,
      (text) =>
        edit(spec.label, (state) => {
          delete state.loraplus[key];
          if (text) state.loraplus[key] = text;
        }),
      { size: 5 },
    );
    nodes.ratios[key] = { input, spec };
    box.append(h("label", {}, `${title} `, input));
  }
  return box;
}

/** The trainer's rank and alpha. */
function dims() {
  const box = h("div", { class: "tool", id: "rank-tool" }, h("span", { class: "what" }, "Trainer's"));
  nodes.ranks = {};
  for (const [key, placeholder] of [["dim", "4"], ["alpha", "1"]]) {
    const parse = key === "dim" ? (text) => (text === "0" ? null : rankText(text)) : (text) => (text === "" || parseNumber(text) > 0 ? text : null);
    const spec = { label: `network_${key}`, value: "", placeholder, parse, allowed: "a number above 0" };
    const input = field(spec, (text) => edit(spec.label, (state) => (state.ranks[key] = text)), { size: 5 });
    nodes.ranks[key] = { input, spec };
    box.append(h("label", {}, `network_${key} `, input));
  }
  return box;
}

function select(all) {
  app.selection = new Set(all ? blocks().filter(([s, b]) => hasModules(s, b)).map(([s, b]) => `${s}:${b}`) : []);
  draw();
}

function onOff() {
  const bars = chosen();
  const off = bars.some(([s, b]) => !isOff(app.state, s, b));
  edit(`${bars.length} blocks ${off ? "off" : "on"}`, (state) => {
    for (const [s, b] of bars) setOff(state, s, b, off);
  });
}

/** Sets the chosen blocks that are on. */
function setAll(word, value) {
  const bars = chosen().filter(([s, b]) => !isOff(app.state, s, b));
  const view = lens();
  edit(word, (state) => {
    view.prepare(state);
    for (const [s, b] of bars) view.set(state, s, b, value(s, b));
  });
}

function applyShape() {
  const name = nodes.shape.value;
  const [from, to, peak] = [nodes.from, nodes.to, nodes.peak].map((input) => parseNumber(input.value));
  if (from === null || to === null || peak === null || from < 0 || to < 0) return announce("The shape needs numbers from 0.");
  if (name.endsWith("geometric") && (from === 0 || to === 0)) {
    return announce("A geometric shape needs numbers above 0.");
  }
  const places = new Map();
  for (const stack of app.model.stacks) {
    const own = chosen().filter(([s]) => s === stack.name);
    own.forEach(([s, b], i) => places.set(`${s}:${b}`, own.length > 1 ? i / (own.length - 1) : 0));
  }
  const view = lens();
  setAll(`shape ${name} ${from} to ${to}`, (s, b) => view.add(shapeValue(name, places.get(`${s}:${b}`), from, to, peak), 0));
  return undefined;
}

/** `double 3 x2.25 = 2.2e-4`, or what a cell holds. */
function readout() {
  const cell = document.activeElement?.closest?.(".cell:hover, .cell:focus") ?? document.querySelector(".cell:hover");
  if (cell) return cell.title;
  const hovered = document.querySelector(".col:hover");
  const stack = hovered?.dataset.stack ?? app.focus.stack;
  const block = hovered ? Number(hovered.dataset.block) : app.focus.block;
  if (!hasModules(stack, block)) return `${stack} ${block}: no modules`;
  const view = lens();
  const value = view.bar(stack, block);
  const now = view.name === "rank" ? `rank ${value}` : `x${timesText(value)} = ${lrText(value * app.formula.base)}`;
  return `${stack} ${block} ${now}${isOff(app.state, stack, block) ? ", off" : ""}`;
}

export function refreshReadout() {
  if (app.shown) {
    const cell = document.querySelector(".cell:hover") ?? document.activeElement?.closest?.(".cell");
    setText(nodes.readout, cell?.title ?? "Point at a cell to read it.");
  } else setText(nodes.readout, readout());
}

function show(spec, input, value) {
  spec.value = value;
  if (document.activeElement !== input && input.value !== value) input.value = value;
}

export function refreshTools() {
  const all = blocks().filter(([s, b]) => hasModules(s, b)).length;
  const count = app.selection.size;
  setText(nodes.count, count ? `${count} of ${all} blocks selected` : `all ${all} blocks`);
  nodes.peakBox.hidden = nodes.shape.value !== "inverted_u";
  const { depth, loraplus, ranks } = app.state;
  const curved = depth.strategy !== "flat";
  nodes.curve.value = depth.strategy;
  for (const box of [nodes.lowestBox, nodes.scope, nodes.levelsBox]) box.hidden = !curved;
  nodes.peakPositionBox.hidden = depth.strategy !== "inverted_u";
  if (document.activeElement !== nodes.min) nodes.min.value = String(depth.min);
  if (document.activeElement !== nodes.peakPosition) nodes.peakPosition.value = String(depth.peak);
  if (document.activeElement !== nodes.levels) nodes.levels.value = String(depth.levels);
  nodes.scope.value = depth.scope;
  nodes.curveLine.hidden = app.view === "rank";
  nodes.overall.hidden = app.view !== "loraplus";
  nodes.dims.hidden = app.view !== "rank";
  for (const [key, { input, spec }] of Object.entries(nodes.ratios)) show(spec, input, loraplus[key] ?? "");
  for (const [key, { input, spec }] of Object.entries(nodes.ranks)) show(spec, input, ranks[key]);
  refreshReadout();
}

/** The scale of the heat rows, in words and colours. */
export function makeLegend(element) {
  const chip = (name, text) => h("span", { class: "key" }, h("span", { class: `cell ${name}` }, ""), text);
  element.append(
    chip("h0", "\u2264 \u00bc"),
    chip("h4", "\u00bd"),
    chip("h8", "base"),
    chip("h12", "\u00d72"),
    chip("h16", "\u2265 4"),
    chip("zero", "0"),
    chip("off", "off"),
    chip("h8 own", "own LR"),
  );
}

/** "1.5e-5 ... 3.6e-4, 48 of 57 blocks on". */
export function summary() {
  const lrs = [];
  const places = blocks().filter(([s, b]) => hasModules(s, b));
  let on = 0;
  for (const { name, size, rows } of app.model.stacks) {
    for (let block = 0; block < size; block++) {
      let trains = false;
      for (const row of rows) {
        if (row.blocks !== null && !row.blocks.includes(block)) continue;
        for (const lr of [lrOf(name, row.component, block)].flat()) if (lr !== 0) lrs.push(lr) && (trains = true);
      }
      if (trains) on += 1;
    }
  }
  for (const component of app.model.outside ?? []) for (const lr of [lrOf("", component, 0)].flat()) if (lr !== 0) lrs.push(lr);
  if (!lrs.length) return "everything is off or 0: nothing would train";
  const [low, high] = [Math.min(...lrs), Math.max(...lrs)];
  const range = lrText(low) === lrText(high) ? lrText(low) : `${lrText(low)} \u2026 ${lrText(high)}`;
  return `${range}, ${on} of ${places.length} blocks on`;
}
