// The grid part of a state: blank, compared, edited.

import { COMPONENTS, Formula } from "./formula.js";
import { hundredths } from "./numbers.js";

const FLAT = { strategy: "flat", min: 0.3, peak: 0.5, scope: "stack", levels: 0 };
const GRID_KEYS = ["default_lr", "components", "components_off", "depth", "weights", "block_lr", "off", "cells"];
const RANK_KEYS = ["component_dim", "component_alpha", "block_dims", "block_alphas"];

export function blank(model, { base_lr = "1e-4", dim = "16", alpha = "16" } = {}) {
	return {
		model: model.name,
		base_lr,
		default_lr: "",
		components: {},
		components_off: [],
		depth: { ...FLAT },
		weights: Object.fromEntries(model.stacks.map(({ name, size }) => [name, Array(size).fill(1)])),
		block_lr: {},
		off: {},
		cells: {},
		loraplus: {},
		ranks: { dim, alpha, component_dim: {}, component_alpha: {}, block_dims: {}, block_alphas: {} },
		module: "",
		kept: {},
		command: [],
	};
}

/** What a preset sets, as text: equal for equal grids. */
export function gridKey(state) {
	const { ranks } = state;
	const part = GRID_KEYS.map((key) => state[key]);
	part.push(state.loraplus, ...RANK_KEYS.map((key) => ranks[key]), state.kept);
	return JSON.stringify(part, (_, value) =>
		value && typeof value === "object" && !Array.isArray(value)
			? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
			: value,
	);
}

/** A state with another grid; what is the run's stays. */
export function withGrid(state, grid) {
	const result = structuredClone(state);
	for (const key of [...GRID_KEYS, "loraplus", "kept"]) if (key in grid) result[key] = structuredClone(grid[key]);
	for (const key of RANK_KEYS) result.ranks[key] = structuredClone(grid.ranks?.[key] ?? {});
	return result;
}

/** Writes a depth curve into the blocks' values; true where there was one. */
export function bake(state, model) {
	if (state.depth.strategy === "flat") return false;
	const formula = new Formula(state, model);
	for (const { name, size } of model.stacks) {
		for (let block = 0; block < size; block++) {
			state.weights[name][block] = Number(formula.factor(name, block).toPrecision(4));
		}
	}
	state.depth = { ...FLAT };
	delete state.kept.max_groups;
	return true;
}

export function setBlock(state, stack, block, value) {
	state.weights[stack][block] = value;
	setOff(state, stack, block, false);
}

export const isOff = (state, stack, block) => Boolean(state.off[stack]?.includes(block));

export function setOff(state, stack, block, off) {
	const others = (state.off[stack] ?? []).filter((i) => i !== block);
	if (off) others.push(block);
	if (others.length) state.off[stack] = others.sort((a, b) => a - b);
	else delete state.off[stack];
}

/** Sets or (with "") removes a value under a path; no empty table stays. */
export function setSparse(table, path, value) {
	const [key, ...rest] = path;
	if (!rest.length) {
		if (value === "" || value === undefined) delete table[key];
		else table[key] = value;
		return;
	}
	table[key] ??= {};
	setSparse(table[key], rest, value);
	if (!Object.keys(table[key]).length) delete table[key];
}

export function setComponentOff(state, component, off) {
	const chosen = new Set(state.components_off);
	if (off) chosen.add(component);
	else chosen.delete(component);
	state.components_off = COMPONENTS.filter((name) => chosen.has(name));
}

export const tidy = (value) => Math.max(0, hundredths(value));
