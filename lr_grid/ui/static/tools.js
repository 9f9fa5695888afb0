// The tools card.

import { announce, button, h, setOptions, setText, where } from "./dom.js";
import { bound, field, refreshFields } from "./fields.js";
import { CURVES, reaches, shapeValue } from "./formula.js";
import { lens, rankText, ratioText } from "./lens.js";
import { lrText, parseNumber, timesText } from "./numbers.js";
import { isOff } from "./state.js";
import { app, chosen, draw, edit, hasModules, lrOf, places, rowsOf, select, turn } from "./store.js";

const HINTS = [
	["drag", "paint"],
	["Shift drag", "ramp"],
	["Ctrl drag", "select"],
	["double click", "×1"],
	["click number", "on or off"],
	["click value", "type"],
	["← →", "block"],
	["↑ ↓", "0.05 (Shift 0.25, Alt 0.01)"],
	["PgUp PgDn", "×2, ÷2"],
	["1 0 O", "×1, zero, on or off"],
	["Enter", "type"],
	["Space, Shift ← →, Ctrl A, Esc", "select"],
	["Ctrl Z", "undo"],
];

const nodes = {};
const label = (text, input, name) => h("label", { class: name }, `${text} `, input);
const what = (text) => h("span", { class: "what" }, text);
const tool = (id, ...children) => h("div", { class: "tool", id }, ...children);

/** A parser of numbers from low to high, as typed. */
const within = (low, high) => (text) => {
	const value = parseNumber(text);
	return value !== null && value >= low && value <= high ? text : null;
};

function choice(name, options, onchange) {
	const select = h("select", { "aria-label": name, onchange });
	setOptions(select, options);
	return select;
}

export function makeTools(card) {
	const curves = Object.keys(CURVES);
	const own = (name, value, parse) => field({ label: name, value, parse, allowed: "a number from 0" }, () => {}, { size: 4 });
	nodes.count = h("strong", {});
	nodes.shape = choice("Shape", curves, () => draw());
	nodes.shape.value = "linear";
	nodes.from = own("Shape from", "1", within(0, 1e6));
	nodes.to = own("Shape to", "0.3", within(0, 1e6));
	nodes.peak = own("Shape's peak", "0.5", within(0, 1));
	nodes.curve = choice("Depth curve", curves, () => edit(`curve ${nodes.curve.value}`, (state) => setDepth(state, { strategy: nodes.curve.value })));
	const scopes = [["stack", "each stack"], ["model", "whole model"]];
	nodes.scope = choice("Curve's scope", scopes, () => edit("curve's scope", (state) => setDepth(state, { scope: nodes.scope.value })));
	const depth = (key, name, allowed, parse) =>
		bound(name, allowed, parse, (state) => String(state.depth[key]), (state, text) => setDepth(state, { [key]: Number(text) }));
	const levels = (text) => (/^\d{1,2}$/.test(text) && Number(text) !== 1 ? text : null);
	const ratio = (key, name) =>
		bound(`LoRA+ ratio ${name}`, "a ratio above 0 (16), or nothing", ratioText, (state) => state.loraplus[key] ?? "", (state, text) => {
			delete state.loraplus[key];
			if (text) state.loraplus[key] = text;
		}, { placeholder: "×1" });
	const run = (key, placeholder, parse) =>
		bound(`network_${key}`, "a number above 0", parse, (state) => state.ranks[key], (state, text) => (state.ranks[key] = text), { placeholder });
	nodes.readout = h("output", { id: "readout", "aria-label": "Readout" });
	nodes.shapeLine = tool(
		"shape-tool",
		what("Shape"),
		nodes.shape,
		label("from", nodes.from),
		label("to", nodes.to),
		label("peak", nodes.peak, "peak"),
		button("Apply", applyShape, { id: "apply-shape" }),
	);
	nodes.curveLine = tool(
		"curve-tool",
		what("Curve"),
		nodes.curve,
		label("lowest", depth("min", "Curve's lowest factor", "0..1", within(0, 1)), "curved"),
		label("peak", depth("peak", "Curve's peak position", "0..1", within(0, 1)), "peak"),
		label("", nodes.scope, "curved"),
		label("levels", depth("levels", "Curve's levels (0 is exact)", "0, or a number from 2", levels), "curved"),
	);
	card.append(
		h("h2", { id: "tools-title" }, "Tools"),
		tool(
			null,
			nodes.count,
			button("All", () => select(places()), { "aria-label": "Select all blocks" }),
			button("None", () => select([]), { "aria-label": "Select no block" }),
			button("On/off", onOff, { id: "onoff" }),
			button("×1", () => setAll("x1", () => lens().one), { id: "times1", "aria-label": "Set to x1" }),
		),
		nodes.shapeLine,
		nodes.curveLine,
		tool("loraplus-tool", what("LoRA+ ratio"), label("everywhere", ratio("", "everywhere")), label("U-Net or DiT", ratio("unet", "U-Net or DiT"))),
		tool(
			"rank-tool",
			what("Trainer's"),
			label("network_dim", run("dim", "4", (text) => (text === "0" ? null : rankText(text)))),
			label("network_alpha", run("alpha", "1", (text) => (text === "" || parseNumber(text) > 0 ? text : null))),
		),
		nodes.readout,
		h("details", {}, h("summary", {}, "Keys and gestures"), h("dl", {}, ...HINTS.map(([keys, does]) => h("div", {}, h("dt", {}, keys), h("dd", {}, does))))),
	);
}

function setDepth(state, change) {
	const depth = { ...state.depth, ...change };
	if (depth.strategy === "flat") Object.assign(depth, { min: 0.3, scope: "stack", levels: 0 });
	if (depth.strategy !== "inverted_u") depth.peak = 0.5;
	state.depth = depth;
}

function onOff() {
	const bars = chosen();
	const off = bars.some(([s, b]) => !isOff(app.state, s, b));
	turn(bars, off);
}

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
	const spots = new Map();
	for (const stack of app.model.stacks) {
		const own = chosen().filter(([s]) => s === stack.name);
		own.forEach(([s, b], i) => spots.set(`${s}:${b}`, own.length > 1 ? i / (own.length - 1) : 0));
	}
	const view = lens();
	setAll(`shape ${name} ${from} to ${to}`, (s, b) => view.add(shapeValue(name, spots.get(`${s}:${b}`), from, to, peak), 0));
	return undefined;
}

/** `double 3 x2.25 = 2.2e-4`, or what a cell holds. */
function readout() {
	const cell = document.activeElement?.closest?.(".cell:hover, .cell:focus") ?? document.querySelector(".cell:hover");
	if (cell) return cell.title;
	const hovered = document.querySelector(".col:hover");
	const { stack, block } = hovered ? where(hovered) : app.focus;
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

export function refreshTools() {
	const all = places().length;
	const count = app.selection.size;
	setText(nodes.count, count ? `${count} of ${all} blocks selected` : `all ${all} blocks`);
	const { strategy, scope } = app.state.depth;
	nodes.curve.value = nodes.curveLine.dataset.curve = strategy;
	nodes.scope.value = scope;
	nodes.shapeLine.dataset.curve = nodes.shape.value;
	refreshFields();
	refreshReadout();
}

export function makeLegend(element) {
	const chips = { h0: "≤ ¼", h4: "½", h8: "base", h12: "×2", h16: "≥ 4", zero: "0", off: "off", "h8 own": "own LR" };
	for (const [name, text] of Object.entries(chips)) {
		element.append(h("span", { class: "key" }, h("span", { class: `cell ${name}` }), text));
	}
}

/** "1.5e-5 ... 3.6e-4, 48 of 57 blocks on". */
export function summary() {
	const lrs = [];
	const trains = (stack, component, block) => {
		const own = [lrOf(stack, component, block)].flat().filter((lr) => lr !== 0);
		return lrs.push(...own) && own.length > 0;
	};
	const on = places().filter(([stack, block]) => {
		const rows = rowsOf(stack).filter((row) => reaches(row, block));
		return rows.filter(({ component }) => trains(stack, component, block)).length > 0;
	}).length;
	for (const component of app.model.outside) trains("", component, 0);
	if (!lrs.length) return "everything is off or 0: nothing would train";
	const [low, high] = [Math.min(...lrs), Math.max(...lrs)];
	const range = lrText(low) === lrText(high) ? lrText(low) : `${lrText(low)} … ${lrText(high)}`;
	return `${range}, ${on} of ${places().length} blocks on`;
}
