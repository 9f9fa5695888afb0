// The strips: a stack's bars and, under them, a heat row for every component that it has.

import { h, setAttr, setText } from "./dom.js";
import { lens } from "./lens.js";
import { isOff, setComponentOff } from "./state.js";
import { app, edit, hasModules } from "./store.js";
import { field } from "./fields.js";

const GUTTER = 156;
const WIDEST = 34;
const NARROWEST = 13;
const VALUES_FROM = 26; // px of a column: below, values do not fit

let built = [];
let place = null;
let tools = null;

/** One strip of the page, with its elements at hand. */
class Strip {
	constructor(stack, view) {
		this.stack = stack;
		this.cols = [];
		this.rows = [];
		const title = `stack-${stack.name || "outside"}`;
		this.element = h("section", { class: "strip", "aria-labelledby": title });
		const count = stack.name ? ` ${stack.size} blocks` : "";
		const heading = stack.name || "outside the blocks";
		this.element.append(h("h2", { id: title }, heading, h("small", {}, count)));
		this.scroller = h("div", { class: "scroller" });
		this.element.append(this.scroller);
		this.element.style.setProperty("--n", stack.size);
		if (stack.name && stack.rows.length && !view.readOnly) this.scroller.append(this.makeBars(view.marks));
		this.grid = h("div", { class: "heat", role: "grid", "aria-label": `${heading}: ${view.title ?? "values"} by component` });
		for (const row of stack.rows) for (const one of view.rows(row)) this.grid.append(this.makeRow(one, view));
		if (stack.rows.length) this.scroller.append(this.grid);
		else this.scroller.append(h("p", { class: "none" }, "The network module trains nothing here."));
	}

	makeBars(marks) {
		this.bars = h("div", { class: "bars", "data-stack": this.stack.name });
		for (let block = 0; block < this.stack.size; block++) {
			const value = h("span", { class: "value" });
			const bar = h("span", { class: "bar" });
			const id = h("span", { class: "id" }, String(block));
			const track = h("span", { class: "track" }, bar);
			const empty = !hasModules(this.stack.name, block);
			const column = h("div", {
				class: empty ? "col empty" : "col",
				role: "slider",
				tabindex: -1,
				"data-stack": this.stack.name,
				"data-block": block,
				"aria-label": `${this.stack.name} ${block}`,
				"aria-valuemin": 0,
				"aria-orientation": "vertical",
				"aria-disabled": empty ? "true" : null,
			});
			column.append(value, track, id);
			this.bars.append(column);
			this.cols.push({ column, value, bar });
		}
		return h("div", { class: "barline" }, h("div", { class: "gutter marks", "aria-hidden": "true" }, ...marks.map((text) => h("span", {}, text))), this.bars);
	}

	makeRow(row, view) {
		const cells = [];
		const head = h("div", { class: "gutter", role: "rowheader" });
		if (view.readOnly) head.append(h("span", { class: "name" }, row.label));
		else head.append(this.makeName(row), field(row.input, (text) => edit(row.input.label, (s) => row.input.set(s, text))));
		const line = h("div", { class: "row", role: "row" }, head);
		for (let block = 0; block < this.stack.size; block++) {
			const there = row.blocks === null || row.blocks.includes(block);
			const cell = there
				? h("div", { class: "cell", role: "gridcell", tabindex: -1, "data-stack": this.stack.name, "data-block": block })
				: h("div", { class: "gap", role: "presentation" });
			if (there) cell.dataset.row = this.rows.length;
			cells.push(there ? cell : null);
			line.append(cell);
		}
		this.rows.push({ row, cells, head });
		return line;
	}

	makeName(row) {
		const { component } = row;
		return h(
			"button",
			{
				class: "name",
				"aria-pressed": "true",
				"aria-label": row.label,
				title: `${row.label}: on or off`,
				onclick: () => {
					const off = !app.formula.off.has(component);
					edit(`${component} ${off ? "off" : "on"}`, (state) => setComponentOff(state, component, off));
				},
			},
			row.short ?? row.label,
		);
	}

	refresh(view) {
		this.cols.forEach((col, block) => this.refreshBar(view, col, block));
		for (const { row, cells, head } of this.rows) {
			cells.forEach((cell, block) => cell && refreshCell(view, this.stack.name, row, cell, block));
			if (!view.readOnly) refreshHead(view, row, head);
		}
	}

	refreshBar(view, { column, value, bar }, block) {
		const stack = this.stack.name;
		const now = view.bar(stack, block);
		const off = isOff(app.state, stack, block);
		const over = now > view.top;
		const focused = app.focus.stack === stack && app.focus.block === block;
		const selected = app.selection.has(`${stack}:${block}`);
		const empty = column.classList.contains("empty");
		setText(value, empty ? "" : off ? "off" : (over ? "▲" : "") + view.text(now));
		const height = `${(100 * view.height(now)).toFixed(1)}%`;
		if (bar.style.height !== height) bar.style.height = height;
		column.classList.toggle("off", off);
		column.classList.toggle("over", over);
		column.classList.toggle("selected", selected);
		column.classList.toggle("zero", now === 0 && !off);
		setAttr(column, "tabindex", focused ? 0 : -1);
		setAttr(column, "aria-valuenow", Number(now.toPrecision(4)));
		setAttr(column, "aria-valuemax", Math.max(view.top, now));
		const words = empty ? "no modules" : off ? `off, would be ${view.words(stack, block, now)}` : view.words(stack, block, now);
		setAttr(column, "aria-valuetext", selected ? `${words}, selected` : words);
	}
}

function refreshHead(view, row, head) {
	const off = app.formula.off.has(row.component);
	const [name, input] = head.children;
	setAttr(name, "aria-pressed", String(!off));
	head.classList.toggle("off", off);
	const now = view.rows(row).find((one) => one.side === row.side).input;
	row.input.value = now.value;
	setAttr(input, "placeholder", off ? "off" : now.placeholder);
	if (document.activeElement !== input && input.value !== now.value) input.value = now.value;
	if (input.disabled !== off) input.disabled = off;
}

function refreshCell(view, stack, row, cell, block) {
	const { step, text, words, own } = view.heat(stack, row, block);
	const name = own ? `cell ${step} own` : `cell ${step}`;
	if (cell.className !== name) cell.className = name;
	setText(cell, text);
	const label = `${row.label} ${stack ? block : ""}: ${words}${own ? ", set by itself" : ""}`;
	if (cell.getAttribute("aria-label") !== label) {
		cell.setAttribute("aria-label", label);
		cell.title = `${stack} ${label}`;
	}
}

/** Width of a column, in px, for a page so wide. */
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

export function stripStacks() {
	if (app.shown) return app.shown.stacks;
	const outside = app.model.outside;
	const rest = outside.length
		? [{ name: "", size: 1, rows: outside.map((component) => ({ component, blocks: null, names: null })) }]
		: [];
	return [...app.model.stacks, ...rest];
}

/** Builds the strips anew (another model, another view). */
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

export function stripOf(stack) {
	return built.find((strip) => strip.stack.name === stack);
}

export function allStrips() {
	return built;
}

/** Puts the keyboard on a block's bar. */
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
	input.addEventListener("keydown", (event) => {
		event.stopPropagation();
		if (event.key === "Enter") finish(true, true);
		if (event.key === "Escape") finish(false, true);
		if (event.key === "Tab") finish(true, false);
	});
	input.addEventListener("blur", () => {
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
