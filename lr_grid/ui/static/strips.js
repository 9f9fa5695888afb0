// All strips, the focus among them, fields over a bar or a cell.

import { h, on } from "./dom.js";
import { lens } from "./lens.js";
import { app } from "./store.js";
import { Strip } from "./strip.js";

const GUTTER = 156;
const WIDEST = 34;
const NARROWEST = 13;
const VALUES_FROM = 26; // px of a column: below, values do not fit

let built = [];
let place = null;
let tools = null;

function columnWidth(available, stacks) {
	const most = Math.max(...stacks.map((stack) => stack.size));
	return Math.max(NARROWEST, Math.min(WIDEST, Math.floor((available - GUTTER - 26) / most)));
}

function fit() {
	const stacks = built.map((strip) => strip.stack);
	if (!stacks.length) return;
	const width = columnWidth(place.clientWidth, stacks);
	place.style.setProperty("--w", `${width}px`);
	place.classList.toggle("slim", width < VALUES_FROM);
	place.classList.toggle("thin", width < 19);
}

function stripStacks() {
	if (app.shown) return app.shown.stacks;
	const outside = app.model.outside;
	const rest = outside.length
		? [{ name: "", size: 1, rows: outside.map((component) => ({ component, blocks: null, names: null })) }]
		: [];
	return [...app.model.stacks, ...rest];
}

export function buildStrips() {
	const view = lens();
	const hadFocus = place.contains(document.activeElement) ? document.activeElement.className : "";
	built = stripStacks().map((stack) => new Strip(stack, view));
	const elements = built.map((strip) => strip.element);
	const size = (strip) => (strip.stack.name && strip.stack.rows.length ? strip.stack.size : Infinity);
	const shortest = built.reduce((best, strip, i) => (size(strip) < size(built[best]) ? i : best), 0);
	place.replaceChildren(...elements.slice(0, shortest + 1), tools, ...elements.slice(shortest + 1));
	fit();
	refreshStrips();
	const first = place.querySelector(".cell");
	if (first) first.tabIndex = 0;
	if (hadFocus.startsWith("col")) focusBar(app.focus.stack, app.focus.block);
}

export function refreshStrips() {
	const view = lens();
	for (const strip of built) strip.refresh(view);
}

export const stripOf = (stack) => built.find((strip) => strip.stack.name === stack);

export const allStrips = () => built;

export function focusBar(stack, block) {
	app.focus = { stack, block };
	const col = stripOf(stack)?.cols[block];
	if (!col) return;
	for (const other of place.querySelectorAll(".col[tabindex='0']")) other.tabIndex = -1;
	col.column.tabIndex = 0;
	col.column.focus({ preventScroll: false });
}

/** A field over a bar's value or a heat cell; done(text) or nothing with Escape. */
export function typeOver(anchor, label, text, done) {
	const input = h("input", { class: "typing", "aria-label": label, value: text, size: 6, spellcheck: "false" });
	const box = anchor.getBoundingClientRect();
	input.style.left = `${Math.max(0, box.left + window.scrollX + box.width / 2 - 32)}px`;
	input.style.top = `${box.top + window.scrollY - 3}px`;
	let over = false;
	const finish = (keep, back) => {
		if (over) return;
		if (keep) {
			const problem = done(input.value);
			if (problem) {
				input.setAttribute("aria-invalid", "true");
				input.title = problem;
				return;
			}
		}
		over = true;
		input.remove();
		if (back) (anchor.closest(".col") ?? anchor).focus();
	};
	on(input, "keydown", (event) => {
		event.stopPropagation();
		if (event.key === "Enter") finish(true, true);
		if (event.key === "Escape") finish(false, true);
		if (event.key === "Tab") finish(true, false);
	});
	on(input, "blur", () => {
		finish(true, false);
		finish(false, false);
	});
	place.closest("main").append(input);
	input.focus();
	input.select();
}

export function startStrips(element, toolsCard) {
	place = element;
	tools = toolsCard;
	new ResizeObserver(fit).observe(place);
	requestAnimationFrame(() => (tools.querySelector("details").open = tools.clientWidth > 480 && window.innerHeight > 800));
}
