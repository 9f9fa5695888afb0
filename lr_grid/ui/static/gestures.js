// The pointer on the bars: a drag paints, ramps (Shift), selects (Ctrl) or moves a selection.

import { on, where } from "./dom.js";
import { range } from "./formula.js";
import { lens } from "./lens.js";
import { isOff, setOff } from "./state.js";
import { focusBar, stripOf, typeOver } from "./strips.js";
import { app, chosen, commit, draw, edit, hasModules, meant, revert, touch, turn } from "./store.js";
import { editCell } from "./cells.js";

let drag = null;

/** Takes back a drag that is under way; true where there was one. */
export function cancelDrag() {
	if (!drag) return false;
	drag = null;
	revert();
	return true;
}

const clamp = (value, most = 1) => Math.max(0, Math.min(most, value));

const open = (stack, block) => hasModules(stack, block) && !isOff(app.state, stack, block);

function spot(event) {
	const { left, width, top, bottom, size } = drag;
	const block = clamp(Math.floor(((event.clientX - left) / width) * size), size - 1);
	return { block, height: clamp((bottom - event.clientY) / (bottom - top)) };
}

export function startGestures(place) {
	on(place, "pointerdown", down);
	on(place, "pointermove", (event) => drag && move(event));
	on(place, "pointerup", (event) => drag && up(event));
	on(place, "pointercancel", cancelDrag);
	on(place, "dblclick", doubled);
	on(place, "click", clicked);
}

function down(event) {
	const column = event.target.closest(".col");
	if (!column || event.button !== 0 || app.shown) return;
	const { stack, block } = where(column);
	focusBar(stack, block);
	if (event.target.closest(".id, .value")) return;
	event.preventDefault();
	const bars = column.parentElement.getBoundingClientRect();
	const track = column.querySelector(".track").getBoundingClientRect();
	const selected = app.selection.has(`${stack}:${block}`);
	const way = event.ctrlKey || event.metaKey ? "select" : event.shiftKey ? "ramp" : selected ? "move" : "paint";
	drag = {
		way,
		stack,
		left: bars.left,
		width: bars.width,
		top: track.top,
		bottom: track.bottom,
		size: stripOf(stack).stack.size,
		before: structuredClone(app.state),
		selection: new Set(app.selection),
		curve: false,
	};
	drag.start = drag.last = spot(event);
	drag.from = lens().bar(stack, block);
	event.target.setPointerCapture?.(event.pointerId);
	if (way === "select") select(drag.start.block);
	else if (way !== "move") move(event);
}

function move(event) {
	const events = event.getCoalescedEvents?.() ?? [];
	const all = drag.way === "paint" && events.length ? events : [event];
	for (const one of all) step(spot(one));
}

function step(now) {
	const view = lens();
	const { stack, way } = drag;
	if (way === "select") select(now.block);
	else if (way === "paint") {
		touch((state) => {
			drag.curve = view.prepare(state) || drag.curve;
			line(drag.last, now, (block, height) => open(stack, block) && view.set(state, stack, block, view.at(height)));
		});
	} else if (way === "ramp") {
		touch((state) => {
			restore(state);
			drag.curve = view.prepare(state) || drag.curve;
			const [a, b] = [drag.start, now].map(({ height }) => view.at(height));
			const span = now.block - drag.start.block;
			for (const block of between(drag.start.block, now.block)) {
				const t = span ? (block - drag.start.block) / span : 1;
				if (open(stack, block)) view.set(state, stack, block, view.add(a + (b - a) * t, 0));
			}
		});
	} else {
		shift(view, now);
	}
	drag.last = now;
}

/** Scales a selection as the grabbed bar (from 0: adds). */
function shift(view, now) {
	const target = view.at(clamp(view.height(drag.from) + now.height - drag.start.height));
	const bars = chosen();
	touch((state) => {
		restore(state);
		const before = bars.map(([stack, block]) => view.bar(stack, block));
		drag.curve = view.prepare(state) || drag.curve;
		bars.forEach(([stack, block], i) => {
			if (!open(stack, block)) return;
			const value = drag.from > 0 ? view.times(before[i], target / drag.from) : view.add(before[i], target);
			view.set(state, stack, block, value);
		});
	});
}

/** The state before the drag, in place. */
function restore(state) {
	Object.assign(state, structuredClone(drag.before));
	touch(() => {});
}

function between(a, b) {
	const [low, high] = a < b ? [a, b] : [b, a];
	return range(high - low + 1).map((i) => low + i);
}

function line(a, b, action) {
	for (const block of between(a.block, b.block)) {
		const t = a.block === b.block ? 1 : (block - a.block) / (b.block - a.block);
		action(block, a.height + (b.height - a.height) * t);
	}
}

function select(block) {
	const keys = between(drag.start.block, block).filter((i) => hasModules(drag.stack, i)).map((i) => `${drag.stack}:${i}`);
	app.selection = new Set([...drag.selection, ...keys]);
	if (keys.length === 1 && drag.selection.has(keys[0])) app.selection.delete(keys[0]);
	draw();
}

function up() {
	const { way, stack, start, last, curve } = drag;
	drag = null;
	if (way === "select") return;
	const range = start.block === last.block ? `${stack} ${start.block}` : `${stack} ${start.block} to ${last.block}`;
	const words = { paint: `paint ${range}`, ramp: `ramp ${range}`, move: "move the selection" }[way];
	commit(curve ? `${words} (the curve is block values now)` : words);
}

function doubled(event) {
	const column = event.target.closest(".col");
	if (!column || event.target.closest(".id, .value") || app.shown) return;
	const { stack, block } = where(column);
	if (!open(stack, block)) return;
	edit(`${stack} ${block} to x1`, (state) => {
		lens().prepare(state);
		lens().set(state, stack, block, lens().one);
	});
}

function clicked(event) {
	const cell = event.target.closest(".cell");
	if (cell) return editCell(cell);
	const column = event.target.closest(".col");
	if (!column || app.shown) return;
	const { stack, block } = where(column);
	if (!hasModules(stack, block)) return;
	if (event.target.closest(".id")) toggle(stack, block);
	if (event.target.closest(".value")) typeValue(stack, block);
}

/** A block on or off; the whole selection where it belongs to it. */
export function toggle(stack, block) {
	const off = !isOff(app.state, stack, block);
	const bars = meant(stack, block);
	turn(bars, off, bars.length > 1 ? undefined : `${stack} ${block}`);
}

export function typeValue(stack, block, first = "") {
	const view = lens();
	const { value } = stripOf(stack).cols[block];
	const now = first || (isOff(app.state, stack, block) ? "off" : view.text(view.bar(stack, block)));
	typeOver(value, `${stack} ${block}: ${view.allowed}`, now, (text) => {
		if (/^\s*off\s*$/i.test(text)) {
			if (!isOff(app.state, stack, block)) toggle(stack, block);
			return "";
		}
		const typed = view.parse(text);
		if (typed === null) return `Type ${view.allowed}.`;
		if (text.trim() === now && !first) return "";
		edit(`type ${view.text(typed)}`, (state) => {
			view.prepare(state);
			for (const [s, b] of meant(stack, block)) {
				view.set(state, s, b, typed);
				setOff(state, s, b, false);
			}
		});
		return "";
	});
}
