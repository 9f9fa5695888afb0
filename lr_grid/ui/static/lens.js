// What the bars and the heat rows show: learning rates, LoRA+, ranks, or a file of a run.

import { barText, lrText, parseNumber, parseRate, shortTimes, timesText } from "./numbers.js";
import { bake, setBlock, setSparse, tidy } from "./state.js";
import { app, lrOf } from "./store.js";

const TOP = 4;

const single = (value) => (Array.isArray(value) ? value.at(-1) : value);

/** The row's heat value of a learning rate: times the base, as text and step of the scale. */
function lrHeat(value, stack, component, block) {
	const lr = single(value);
	const base = app.formula.base;
	const off = app.formula.off.has(component) || (stack && app.formula.isOff(stack, block));
	return {
		off,
		step: off ? null : lr === 0 ? "zero" : stepOf(lr / base),
		text: off ? "" : shortTimes(lr / base),
		words: off ? "off" : lr === 0 ? "0, frozen" : `${Array.isArray(value) ? value.map(lrText).join(" to ") : lrText(lr)}`,
		own: Boolean(stack) && app.state.cells[stack]?.[component]?.[block] !== undefined,
	};
}

/** 0..16, 8 is equal: quarter steps of log2, blue below, orange above. */
export function stepOf(times) {
	if (!(Math.abs(times) > 0)) return times === 0 ? "zero" : 8;
	return Math.round(4 * Math.max(-2, Math.min(2, Math.log2(Math.abs(times))))) + 8;
}

const multipliers = {
	top: TOP,
	marks: ["\u00d74", "\u00d71", "0"],
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
		const value = parseNumber(text.trim().replace(/^[x\u00d7]|[x\u00d7]$/gi, ""));
		return value !== null && value >= 0 ? value : null;
	},
	allowed: "a multiplier from 0 (1.5), or off",
};

function lrInput(component) {
	return {
		label: `Learning rate of ${component}`,
		value: app.state.components[component] ?? "",
		placeholder: lrText(app.formula.lrs[component]),
		parse: (text) => (text === "" || parseRate(text) ? text.toLowerCase() : null),
		allowed: "a learning rate (4e-4), a multiple of the base (1.5x), or nothing",
		set: (state, text) => (state.components = withKey(state.components, component, text)),
	};
}

/** A table with one key set or, with "", removed; never undefined, as the state always has its tables. */
function withKey(table, key, text) {
	const result = { ...table };
	if (text === "") delete result[key];
	else result[key] = text;
	return result;
}

export const LR = {
	...multipliers,
	name: "lr",
	title: "Learning rates",
	rows: (row) => [{ ...row, label: row.component, input: lrInput(row.component), side: "down" }],
	heat: (stack, row, block) => lrHeat(lrOf(stack, row.component, block), stack, row.component, block),
	cellValue: (stack, row, block) => single(lrOf(stack, row.component, block)),
	cells: true,
};

export const LORAPLUS = {
	...multipliers,
	name: "loraplus",
	title: "LoRA+",
	rows: (row) => [
		{ ...row, label: `${row.component} down`, short: `${row.component} \u2193`, input: lrInput(row.component), side: "down" },
		{
			...row,
			label: `${row.component} up`,
			short: `${row.component} \u2191`,
			side: "up",
			input: {
				label: `LoRA+ ratio of ${row.component}`,
				value: app.state.loraplus[row.component] ?? "",
				placeholder: `\u00d7${timesText(app.formula.ratio(row.component))}`,
				parse: ratioText,
				allowed: "a ratio above 0 (16), or nothing",
				set: (state, text) => (state.loraplus = withKey(state.loraplus, row.component, text)),
			},
		},
	],
	heat: (stack, row, block) => {
		const lr = lrOf(stack, row.component, block);
		const ratio = row.side === "up" ? app.formula.ratio(row.component) : 1;
		const value = Array.isArray(lr) ? lr.map((one) => one * ratio) : lr * ratio;
		return lrHeat(value, stack, row.component, block);
	},
	cells: false,
};

/** A LoRA+ ratio as it is written, or null. */
export function ratioText(text) {
	const bare = text.trim().replace(/^[x\u00d7]|[x\u00d7]$/gi, "");
	const value = bare === "" ? 1 : parseNumber(bare);
	return value !== null && value > 0 ? bare : null;
}

/** A rank as it is written, or null. */
export function rankText(text) {
	return /^\d{0,5}$/.test(text.trim()) ? text.trim() && String(Number(text)) : null;
}

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
	marks: ["128", "", "0"],
	bar: (stack, block) => app.state.ranks.block_dims[stack]?.[block] ?? dim(),
	height: (value) => (value === 0 ? 0 : Math.min(1, (1 + Math.log2(value)) / (1 + RANK_TOP))),
	at: (height) => (height < 0.04 ? 0 : Math.max(1, Math.round(2 ** (height * (1 + RANK_TOP) - 1)))),
	text: (value) => String(value),
	words: (stack, block, value) => (value === 0 ? "rank 0, no LoRA" : `rank ${value}`),
	prepare: () => false,
	set: (state, stack, block, value) => {
		setRank(state, stack, block, value === dim() ? undefined : value);
	},
	add: (value, amount) => Math.max(0, value + amount),
	times: (value, factor) => Math.max(0, Math.round(value * factor)),
	steps: { plain: 1, shift: 4, alt: 1 },
	get one() {
		return dim();
	},
	parse: (text) => (rankText(text) ? Number(text) : null),
	allowed: "a whole number (16), 0 for no LoRA, or off",
	rows: (row) => [
		{
			...row,
			label: row.component,
			side: "down",
			input: {
				label: `Rank of ${row.component}`,
				value: app.state.ranks.component_dim[row.component] ?? "",
				placeholder: String(dim()),
				parse: rankText,
				allowed: "a whole number (16), or nothing",
				set: (state, text) => (state.ranks.component_dim = withKey(state.ranks.component_dim, row.component, text)),
			},
		},
	],
	heat: (stack, row, block) => {
		const off = app.formula.off.has(row.component) || (stack && app.formula.isOff(stack, block));
		const lr = lrOf(stack, row.component, block);
		const rank = off || lr === 0 ? 0 : rankOf(stack, row.component, block);
		return {
			off,
			step: off ? null : rank === 0 ? "zero" : stepOf(rank / dim()),
			text: off ? "" : String(rank),
			words: off ? "off" : rank === 0 ? "no LoRA" : `rank ${rank}`,
		};
	},
	cells: false,
};

function setRank(state, stack, block, value) {
	setSparse(state.ranks, ["block_dims", stack, block], value);
	state.ranks.block_dims ??= {};
}

/** A file of a run: only heat. */
export function lensOf(shown) {
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
		name: "shown",
		readOnly: true,
		base,
		rows: (row) =>
			plus
				? ["down", "up"].map((side) => ({ ...row, label: `${row.component} ${side}`, side }))
				: [{ ...row, label: row.component, side: "down" }],
		heat: (stack, row, block) => {
			const value = at(stack, row, block);
			if (value === null) return { missing: true };
			return {
				step: value === 0 ? "zero" : stepOf(value / base),
				text: shortTimes(value / base),
				words: value === 0 ? "0, frozen" : lrText(value),
			};
		},
		cells: false,
	};
}

function median(values) {
	const sorted = [...values].sort((a, b) => a - b);
	return sorted.length ? sorted[sorted.length >> 1] : undefined;
}

/** The lens of the moment. */
export function lens() {
	if (app.shown) return lensOf(app.shown);
	return { lr: LR, loraplus: LORAPLUS, rank: RANK }[app.view];
}
