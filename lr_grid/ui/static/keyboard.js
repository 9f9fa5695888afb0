// The keys: on a bar, on a heat cell, anywhere.

import { cellKey } from "./cells.js";
import { on, where } from "./dom.js";
import { cancelDrag, toggle, typeValue } from "./gestures.js";
import { lens } from "./lens.js";
import { isOff, setOff } from "./state.js";
import { app, draw, edit, hasModules, meant, places, redo, select, undo } from "./store.js";
import { focusBar } from "./strips.js";

const isField = (element) => element.matches?.("input, textarea, select");

export function startKeyboard({ openFile, saveFile }) {
	on(document, "keydown", (event) => {
		if (anywhere(event, openFile, saveFile)) return event.preventDefault();
		const target = event.target;
		if (isField(target)) return undefined;
		const column = target.closest?.(".col");
		const cell = target.closest?.(".cell");
		const mine = column ? barKey(event, column) : cell ? cellKey(event, cell) : false;
		if (mine) event.preventDefault();
		return undefined;
	});
}

function anywhere(event, openFile, saveFile) {
	const control = event.ctrlKey || event.metaKey;
	if (event.key === "Escape" && cancelDrag()) return true;
	if (!control || event.altKey) return false;
	const key = event.key.toLowerCase();
	const file = { s: saveFile, o: openFile }[key];
	if (file) {
		file();
		return true;
	}
	if (isField(event.target)) return false;
	if (key === "z" && !event.shiftKey) undo();
	else if (key === "z" || key === "y") redo();
	else return false;
	return true;
}

function change(word, stack, block, next, turnsOn) {
	const view = lens();
	const bars = meant(stack, block).filter(([s, b]) => hasModules(s, b) && (turnsOn || !isOff(app.state, s, b)));
	if (!bars.length) return;
	edit(word, (state) => {
		const values = bars.map(([s, b]) => view.bar(s, b));
		view.prepare(state);
		bars.forEach(([s, b], i) => {
			view.set(state, s, b, next(values[i], view));
			setOff(state, s, b, false);
		});
	});
}

function go(stack, block, by, extend) {
	const all = places();
	const at = all.findIndex(([s, b]) => s === stack && b === block);
	const next = all[Math.max(0, Math.min(all.length - 1, at + by))];
	if (extend) {
		const to = all.indexOf(next);
		for (const [s, b] of all.slice(Math.min(at, to), Math.max(at, to) + 1)) app.selection.add(`${s}:${b}`);
		draw();
	}
	focusBar(...next);
}

const before = (stack, block) => places().filter(([s, b]) => s === stack && b < block).length;
const after = (stack, block) => places().filter(([s, b]) => s === stack && b > block).length;

function barKey(event, column) {
	const { stack, block } = where(column);
	const control = event.ctrlKey || event.metaKey;
	const { steps } = lens();
	const step = event.shiftKey ? steps.shift : event.altKey ? steps.alt : steps.plain;
	if (control) {
		if (event.key.toLowerCase() !== "a") return false;
		select(places());
		return true;
	}
	const keys = {
		ArrowLeft: () => go(stack, block, -1, event.shiftKey),
		ArrowRight: () => go(stack, block, 1, event.shiftKey),
		Home: () => go(stack, block, -before(stack, block), event.shiftKey),
		End: () => go(stack, block, after(stack, block), event.shiftKey),
		ArrowUp: () => change("raise", stack, block, (value, view) => view.add(value, step)),
		ArrowDown: () => change("lower", stack, block, (value, view) => view.add(value, -step)),
		PageUp: () => change("double", stack, block, (value, view) => view.times(value, 2)),
		PageDown: () => change("halve", stack, block, (value, view) => view.times(value, 0.5)),
		1: () => change("x1", stack, block, (_, view) => view.one, true),
		0: () => change("0", stack, block, () => 0, true),
		o: () => hasModules(stack, block) && toggle(stack, block),
		Enter: () => hasModules(stack, block) && typeValue(stack, block),
		" ": () => {
			const key = `${stack}:${block}`;
			if (!app.selection.delete(key) && hasModules(stack, block)) app.selection.add(key);
			draw();
		},
		Escape: () => select([]),
	};
	const action = keys[event.key] ?? keys[event.key.toLowerCase()];
	if (!action) return false;
	action();
	return true;
}
