// What the page shows: all else reads it, edits through it and is told.

import { asked } from "./api.js";
import { announce } from "./dom.js";
import { Formula, range, reaches } from "./formula.js";
import { History } from "./history.js";
import { blank, gridKey, setOff } from "./state.js";
import { toml } from "./toml.js";
import { argumentsOf, command, networkArgs } from "./writer.js";

const SAVED = "lr-grid-ui";

export const app = {
	model: null,
	state: null,
	formula: null,
	history: null,
	/** Python's LRs where the formula does not reach: stack -> component -> block. */
	beyond: {},
	written: null,
	texts: { network_args: "", toml: "", command: "" },
	problems: [],
	checked: false,
	presets: [],
	models: [],
	file: null,
	calculator: null,
	view: "lr",
	/** A run's plan or norms, read-only; null while a grid is edited. */
	shown: null,
	selection: new Set(),
	focus: { stack: "", block: 0 },
};

const known = new Map();
const listeners = [];
let frame = 0;
let rebuild = true;

export function onChange(listener) {
	listeners.push(listener);
}

let check = () => {};

export function onStep(checker) {
	check = checker;
}

/** Draws in the next frame, however often it is asked for. */
export function draw(whole = false) {
	rebuild ||= whole;
	if (frame) return;
	frame = requestAnimationFrame(() => {
		frame = 0;
		const all = rebuild;
		rebuild = false;
		for (const listener of listeners) listener(all);
	});
}

/** After any change of the state: what follows from it. */
function follow() {
	app.formula = new Formula(app.state, app.model);
	const words = argumentsOf(app.state, app.model);
	app.texts = {
		network_args: networkArgs(words),
		toml: toml(words),
		command: command(app.state, app.model, words),
	};
	app.checked = false;
	draw();
}

/** A change that is not done yet (a drag): shown, not noted. */
export function touch(change) {
	change(app.state);
	follow();
}

export function commit(word) {
	follow();
	if (app.history.push(app.state, word)) save();
	check();
}

export function edit(word, change) {
	change(app.state);
	commit(word);
}

/** Takes back what touch() did since the last step. */
export function revert() {
	app.state = app.history.current();
	follow();
}

function adopt(state) {
	if (state.model !== app.model.name) useModel(known.get(state.model));
	app.state = state;
	app.beyond = {};
	if (app.shown) draw(true);
	app.shown = null;
	follow();
	save();
	check();
}

/** Another state in one step; its model must be known. */
export function replace(state, word) {
	if (!known.has(state.model)) throw new Error(`model ${state.model} was not loaded`);
	adopt(state);
	app.history.push(state, word);
	save();
}

function step(by) {
	const state = app.history.go(by);
	if (state) adopt(state);
	return Boolean(state);
}

export const undo = () => step(-1);
export const redo = () => step(1);

function useModel(entry) {
	app.model = entry.model;
	app.presets = entry.presets;
	app.selection.clear();
	const [stack, block] = places()[0] ?? [app.model.stacks[0].name, 0];
	app.focus = { stack, block };
	draw(true);
}

export function learn(model, presets) {
	known.set(model.name, { model, presets: presets ?? known.get(model.name)?.presets ?? [] });
	if (app.model?.name === model.name) {
		app.model = model;
		app.presets = known.get(model.name).presets;
		draw(true);
	}
}

/** Rows of the model of the moment, as the state's arguments make them. */
export function showRows(model) {
	if (app.model.name !== model.name) return;
	app.model = model;
	follow();
	draw(true);
}

export async function load(name) {
	if (known.has(name)) return true;
	const answer = await asked("model", { model: name }, announce);
	if (answer) learn(answer.model, answer.presets);
	return Boolean(answer);
}

export function blankOf(name) {
	const { base_lr, ranks } = app.state;
	return blank(known.get(name).model, { base_lr, dim: ranks.dim, alpha: ranks.alpha });
}

export function begin(model, presets, state) {
	learn(model, presets);
	restart(model.name, state);
}

/** A state to begin with: nothing of before can be undone. */
export function restart(name, state) {
	useModel(known.get(name));
	app.beyond = {};
	app.state = state;
	app.history = new History(state);
	follow();
}

/** The preset that the grid is, "" for none, null for "Custom". */
export function presetName() {
	const key = gridKey(app.state);
	if (key === gridKey(blank(app.model))) return "";
	return app.presets.find((preset) => preset.grid && gridKey(preset.grid) === key)?.name ?? null;
}

export const blocks = () => app.model.stacks.flatMap(({ name, size }) => range(size).map((block) => [name, block]));

export const rowsOf = (stack) => app.model.stacks.find(({ name }) => name === stack).rows;

export const hasModules = (stack, block) => rowsOf(stack).some((row) => reaches(row, block));

export const places = () => blocks().filter(([stack, block]) => hasModules(stack, block));

const selected = () => places().filter(([stack, block]) => app.selection.has(`${stack}:${block}`));

/** What a tool works on: the selected blocks, else all. */
export const chosen = () => (app.selection.size ? selected() : places());

/** What a key or a gesture on a block means: its selection, or it alone. */
export const meant = (stack, block) => (app.selection.has(`${stack}:${block}`) ? selected() : [[stack, block]]);

export function select(list) {
	app.selection = new Set(list.map(([stack, block]) => `${stack}:${block}`));
	draw();
}

export function turn(bars, off, what = `${bars.length} blocks`) {
	edit(`${what} ${off ? "off" : "on"}`, (state) => {
		for (const [stack, block] of bars) setOff(state, stack, block, off);
	});
}

/** What survives a reload. */
export function save() {
	try {
		sessionStorage.setItem(SAVED, JSON.stringify({ state: app.state, view: app.view, file: app.file }));
	} catch {
		// A browser that stores nothing: the page works, a reload begins anew.
	}
}

export function saved() {
	try {
		return JSON.parse(sessionStorage.getItem(SAVED));
	} catch {
		return null;
	}
}

/** Absolute LR of a cell, [lowest, highest] where its modules differ. */
export function lrOf(stack, component, block) {
	const beyond = app.beyond[stack]?.[component]?.[block];
	if (beyond !== undefined && !app.formula.off.has(component) && !(stack && app.formula.isOff(stack, block))) return beyond;
	return stack ? app.formula.cell(stack, component, block) : app.formula.outside(component);
}
