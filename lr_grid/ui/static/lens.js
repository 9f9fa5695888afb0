// What bars and heat rows show: LRs, LoRA+, ranks, or a run's file.

import { barText, lrText, parseNumber, parseRate, shortTimes, timesText } from "./numbers.js";
import { bake, setBlock, setSparse, tidy } from "./state.js";
import { app, lrOf } from "./store.js";

const TOP = 4;

const single = (value) => (Array.isArray(value) ? value.at(-1) : value);

const isOff = (stack, component, block) => app.formula.off.has(component) || (stack && app.formula.isOff(stack, block));

function lrHeat(value, stack, component, block) {
	if (isOff(stack, component, block)) return OFF;
	const times = single(value) / app.formula.base;
	return {
		step: stepOf(times),
		text: shortTimes(times),
		words: times === 0 ? "0, frozen" : [value].flat().map(lrText).join(" to "),
		own: Boolean(stack) && app.state.cells[stack]?.[component]?.[block] !== undefined,
	};
}

const OFF = { step: "off", text: "–", words: "off" };

/** The class of a cell: quarter steps of log2, h8 is equal. */
function stepOf(times) {
	return times === 0 ? "zero" : `h${Math.round(4 * Math.max(-2, Math.min(2, Math.log2(Math.abs(times) || 1)))) + 8}`;
}

/** "x1.5" or "1.5x" as "1.5". */
const bare = (text) => text.trim().replace(/^[x×]|[x×]$/gi, "");

const multipliers = {
	top: TOP,
	marks: ["×4", "×1", "0"],
	bar: (stack, block) => app.formula.factor(stack, block),
	height: (value) => Math.min(1, Math.sqrt(Math.max(0, value) / TOP)),
	at: (height) => (Math.abs(height - 0.5) < 0.02 ? 1 : height < 0.02 ? 0 : tidy(TOP * height * height)),
	text: barText,
	words: (stack, block, value) => `x${timesText(value)}, learning rate ${lrText(value * app.formula.base)}`,
	prepare: (state) => bake(state, app.model),
	set: setBlock,
	add: (value, amount) => tidy(value + amount),
	times: (value, factor) => tidy(value * factor),
	steps: { plain: 0.05, shift: 0.25, alt: 0.01 },
	one: 1,
	parse: (text) => {
		const value = parseNumber(bare(text));
		return value !== null && value >= 0 ? value : null;
	},
	allowed: "a multiplier from 0 (1.5), or off",
};

/** A row's field: a text in a sparse table of the state. */
function input(label, component, tableOf, placeholder, parse, allowed) {
	const set = (state, text) => {
		const table = tableOf(state);
		delete table[component];
		if (text) table[component] = text;
	};
	return { label: `${label} ${component}`, value: tableOf(app.state)[component] ?? "", placeholder, parse, allowed, set };
}

function lrInput(component) {
	const parse = (text) => (text === "" || parseRate(text) ? text.toLowerCase() : null);
	const allowed = "a learning rate (4e-4), a multiple of the base (1.5x), or nothing";
	return input("Learning rate of", component, (state) => state.components, lrText(app.formula.lrs[component]), parse, allowed);
}

function ratioInput(component) {
	const placeholder = `×${timesText(app.formula.ratio(component))}`;
	return input("LoRA+ ratio of", component, (state) => state.loraplus, placeholder, ratioText, "a ratio above 0 (16), or nothing");
}

function rankInput(component) {
	const allowed = "a whole number (16), or nothing";
	return input("Rank of", component, (state) => state.ranks.component_dim, String(dim()), rankText, allowed);
}

export const LR = {
	...multipliers,
	name: "lr",
	title: "Learning rates",
	rows: (row) => [{ ...row, label: row.component, input: lrInput(row.component) }],
	heat: (stack, { component }, block) => lrHeat(lrOf(stack, component, block), stack, component, block),
	cells: true,
};

export const LORAPLUS = {
	...multipliers,
	name: "loraplus",
	title: "LoRA+",
	rows: (row) => [
		{ ...row, label: `${row.component} down`, short: `${row.component} ↓`, input: lrInput(row.component) },
		{ ...row, label: `${row.component} up`, short: `${row.component} ↑`, side: "up", input: ratioInput(row.component) },
	],
	heat: (stack, { component, side }, block) => {
		const ratio = side === "up" ? app.formula.ratio(component) : 1;
		const lrs = [lrOf(stack, component, block)].flat().map((lr) => lr * ratio);
		return lrHeat(lrs.length > 1 ? lrs : lrs[0], stack, component, block);
	},
};

export function ratioText(text) {
	const ratio = bare(text);
	const value = ratio === "" ? 1 : parseNumber(ratio);
	return value !== null && value > 0 ? ratio : null;
}

export const rankText = (text) => /^\d{0,5}$/.test(text.trim()) ? text.trim() && String(Number(text)) : null;

const RANK_TOP = 7; // of log2: 128
const dim = () => Number(app.state.ranks.dim || 4);
const rankOf = (stack, component, block) => {
	const now = app.checked ? single(app.written?.cells?.[stack]?.[component]?.rank?.[block]) : undefined;
	return now ?? (stack ? app.formula.rank(stack, component, block) : Number(app.state.ranks.component_dim[component] ?? dim()));
};

export const RANK = {
	name: "rank",
	title: "Ranks",
	top: 128,
	marks: ["128", "8", "0"],
	bar: (stack, block) => app.state.ranks.block_dims[stack]?.[block] ?? dim(),
	height: (value) => (value === 0 ? 0 : Math.min(1, (1 + Math.log2(value)) / (1 + RANK_TOP))),
	at: (height) => (height < 0.04 ? 0 : Math.max(1, Math.round(2 ** (height * (1 + RANK_TOP) - 1)))),
	text: (value) => String(value),
	words: (stack, block, value) => (value === 0 ? "rank 0, no LoRA" : `rank ${value}`),
	prepare: () => false,
	set: (state, stack, block, value) => {
		setSparse(state.ranks, ["block_dims", stack, block], value === dim() ? undefined : value);
		state.ranks.block_dims ??= {};
	},
	add: (value, amount) => Math.max(0, Math.round(value + amount)),
	times: (value, factor) => Math.max(0, Math.round(value * factor)),
	steps: { plain: 1, shift: 4, alt: 1 },
	get one() {
		return dim();
	},
	parse: (text) => (rankText(text) ? Number(text) : null),
	allowed: "a whole number (16), 0 for no LoRA, or off",
	rows: (row) => [{ ...row, label: row.component, input: rankInput(row.component) }],
	heat: (stack, { component }, block) => {
		if (isOff(stack, component, block)) return OFF;
		const rank = lrOf(stack, component, block) === 0 ? 0 : rankOf(stack, component, block);
		return { step: stepOf(rank / dim()), text: String(rank), words: rank === 0 ? "no LoRA" : `rank ${rank}` };
	},
};

function lensOf(shown) {
	const cells = shown.kind === "norms" ? null : shown.cells;
	const table = cells ?? shown.quantities[shown.quantity];
	const values = Object.values(table).flatMap((rows) => Object.values(rows).flatMap((row) => (cells ? row.lr : row)));
	const middle = median(values.map(single).filter((value) => value > 0)) ?? 1;
	const base = cells ? (shown.base_lr ?? middle) : middle;
	const at = (stack, row, block) => {
		const own = table[stack]?.[row.component];
		return single((cells ? ((row.side === "up" && own?.up) || own?.lr) : own)?.[block] ?? null);
	};
	const plus = cells && Object.values(cells).some((rows) => Object.values(rows).some((row) => row.up));
	return {
		readOnly: true,
		rows: (row) =>
			plus
				? ["down", "up"].map((side) => ({ ...row, label: `${row.component} ${side}`, side }))
				: [{ ...row, label: row.component }],
		heat: (stack, row, block) => {
			const value = at(stack, row, block);
			if (value === null) return { step: "missing", text: "", words: "none" };
			return { step: stepOf(value / base), text: shortTimes(value / base), words: value === 0 ? "0, frozen" : lrText(value) };
		},
	};
}

function median(values) {
	const sorted = [...values].sort((a, b) => a - b);
	return sorted.length ? sorted[sorted.length >> 1] : undefined;
}

export function lens() {
	if (app.shown) return lensOf(app.shown);
	return { lr: LR, loraplus: LORAPLUS, rank: RANK }[app.view];
}
