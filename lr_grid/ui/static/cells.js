// A heat cell's own LR, by pointer and by keyboard.

import { announce, where } from "./dom.js";
import { lens } from "./lens.js";
import { parseRate } from "./numbers.js";
import { setSparse } from "./state.js";
import { app, edit } from "./store.js";
import { allStrips, stripOf, typeOver } from "./strips.js";
import { cellName } from "./writer.js";

function setCell(stack, component, block, text) {
	edit(`${component} ${stack} ${block} ${text || "without an LR of its own"}`, (state) => {
		setSparse(state, ["cells", stack, component, block], text);
		state.cells ??= {};
	});
}

export function editCell(cell) {
	focusCell(cell);
	const { stack, block, index } = where(cell);
	if (!stack || !lens().cells) return;
	const { row } = stripOf(stack).rows[index];
	const { component } = row;
	if (app.formula.off.has(component) || app.formula.isOff(stack, block)) {
		announce(`${stack} ${block} ${component} is off: turn it on first.`);
		return;
	}
	if (!cellName(row, block)) {
		announce("This cell has no name of its own, so it takes no LR of its own.");
		return;
	}
	const now = app.state.cells[stack]?.[component]?.[block] ?? "";
	const label = `LR of ${component} in ${stack} ${block}: a learning rate (2e-4), a multiple of the base (1.5x), 0, or nothing`;
	typeOver(cell, label, now, (typed) => {
		const text = /^\s*off\s*$/i.test(typed) ? "0" : typed.trim().toLowerCase();
		if (text !== "" && !parseRate(text)) return label;
		if (text !== now) setCell(stack, component, block, text);
		return "";
	});
}

function focusCell(cell) {
	const place = cell.closest("#strips");
	for (const other of place.querySelectorAll(".cell[tabindex='0']")) other.tabIndex = -1;
	cell.tabIndex = 0;
	cell.focus();
}

function neighbour(cell, dx, dy) {
	const { stack, block, index } = where(cell);
	const strips = allStrips().filter((strip) => strip.rows.length);
	let at = strips.findIndex((strip) => strip.stack.name === stack);
	let row = index;
	let column = block;
	for (let i = 0; i < 500; i++) {
		column += dx;
		row += dy;
		if (dy && (row < 0 || row >= strips[at].rows.length)) {
			at += dy;
			if (!strips[at]) return null;
			row = dy > 0 ? 0 : strips[at].rows.length - 1;
		}
		if (dx && (column < 0 || column >= strips[at].stack.size)) return null;
		const found = strips[at].rows[row].cells[Math.min(column, strips[at].stack.size - 1)];
		if (found) return found;
	}
	return null;
}

const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Keys on a heat cell; true where one was meant for it. */
export function cellKey(event, cell) {
	if (event.key in MOVES) {
		const next = neighbour(cell, ...MOVES[event.key]);
		if (next) focusCell(next);
	} else if (event.key === "Home" || event.key === "End") {
		const cells = stripOf(cell.dataset.stack).rows[Number(cell.dataset.row)].cells.filter(Boolean);
		focusCell(event.key === "Home" ? cells[0] : cells.at(-1));
	} else if (event.key === "Enter") {
		editCell(cell);
	} else if (event.key === "Delete" || event.key === "Backspace") {
		const { stack, block, index } = where(cell);
		const component = stripOf(stack)?.rows[index].row.component;
		if (app.state.cells[stack]?.[component]?.[block] !== undefined) setCell(stack, component, block, "");
	} else return false;
	return true;
}
