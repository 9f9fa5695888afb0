// A stack's bars and, under them, its components' heat rows.

import { h, setAttr, setText } from "./dom.js";
import { field } from "./fields.js";
import { reaches } from "./formula.js";
import { isOff, setComponentOff } from "./state.js";
import { app, edit, hasModules } from "./store.js";

export class Strip {
	constructor(stack, view) {
		this.stack = stack;
		this.cols = [];
		this.rows = [];
		const title = `stack-${stack.name || "outside"}`;
		const count = stack.name ? ` ${stack.size} blocks` : "";
		const heading = stack.name || "outside the blocks";
		this.scroller = h("div", { class: "scroller" });
		const head = h("h2", { id: title }, heading, h("small", {}, count));
		this.element = h("section", { class: "strip", "aria-labelledby": title }, head, this.scroller);
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
			const there = reaches(row, block);
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
