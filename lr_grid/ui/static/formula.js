// lr_grid/planner.py's formula, so that the page need not wait; Python has the last word.

import { parseNumber, parseRate } from "./numbers.js";

export const COMPONENTS = ["self_attn", "cross_attn", "ffn", "norm", "mod", "fused", "embed", "other"];
const CURVED = new Set(["self_attn", "cross_attn", "ffn", "norm", "mod", "fused"]);

function invertedU(t, m, p) {
	let d = 0;
	if (t < p) d = (p - t) / p;
	else if (t > p) d = (t - p) / (1 - p);
	return 1 - (1 - m) * d * d;
}

const linear = (t, m) => 1 - t * (1 - m);
const cosine = (t, m) => m + ((1 - m) * (1 + Math.cos(Math.PI * t))) / 2;
const geometric = (t, m) => m ** t;
const sine = (t, m) => m + (1 - m) * Math.sin(Math.PI * Math.min(t, 1 - t));

/** As lr_grid/depth.py: (t 0..1, lowest factor, peak) -> factor. */
export const CURVES = {
	flat: () => 1,
	linear,
	cosine,
	inverted_u: invertedU,
	sine,
	geometric,
	reverse_linear: (t, m) => linear(1 - t, m),
	reverse_cosine: (t, m) => cosine(1 - t, m),
	reverse_geometric: (t, m) => geometric(1 - t, m),
};

/** Where a shape "from -> to" stands at t: 0 is from, 1 is to. */
export function shapeValue(name, t, from, to, peak) {
	if (name === "flat") return from;
	if (name === "geometric") return from * (to / from) ** t;
	if (name === "reverse_geometric") return to * (from / to) ** t;
	const factor = CURVES[name](t, 0, peak);
	const rises = name === "inverted_u" || name === "sine";
	return rises ? from + (to - from) * factor : to + (from - to) * factor;
}

export const range = (size) => [...Array(size).keys()];

/** Stack -> depth factor of each block, before depth_levels or max_groups merge any. */
function depthFactors(depth, model) {
	const curve = CURVES[depth.strategy];
	const total = model.stacks.reduce((sum, stack) => sum + stack.size, 0);
	const result = {};
	let offset = 0;
	for (const { name, size } of model.stacks) {
		const [start, of] = depth.scope === "model" ? [offset, total] : [0, size];
		result[name] = range(size).map((i) => (of <= 1 ? 1 : curve((start + i) / (of - 1), depth.min, depth.peak)));
		offset += size;
	}
	return result;
}

export const reaches = ({ blocks }, block) => blocks === null || blocks.includes(block);

/** What a state's LRs are made of, once a change. */
export class Formula {
	constructor(state, model) {
		this.state = state;
		this.model = model;
		this.base = parseNumber(state.base_lr) ?? NaN;
		this.depth = depthFactors(state.depth, model);
		this.off = new Set(state.components_off);
		this.offBlocks = {};
		for (const { name } of model.stacks) this.offBlocks[name] = new Set(state.off[name] ?? []);
		this.lrs = {};
		for (const component of COMPONENTS) this.lrs[component] = this.componentLr(component);
	}

	resolve(text) {
		const rate = parseRate(text);
		if (!rate) return NaN;
		return rate.relative ? rate.value * this.base : rate.value;
	}

	componentLr(component) {
		const own = this.state.components;
		if (component in own) return this.resolve(own[component]);
		const byDefault = this.state.default_lr ? this.resolve(this.state.default_lr) : this.base;
		if (component !== "fused" || !("self_attn" in own || "ffn" in own)) return byDefault;
		const [a, f] = ["self_attn", "ffn"].map((name) => (name in own ? this.resolve(own[name]) : byDefault));
		return a === f ? a : Math.sign(a) * Math.sqrt(a * f);
	}

	isOff(stack, block) {
		return this.offBlocks[stack].has(block);
	}

	/** What a bar shows: block weight x depth curve. */
	factor(stack, block) {
		const own = this.state.block_lr[stack]?.[block] !== undefined;
		return this.state.weights[stack][block] * (own ? 1 : this.depth[stack][block]);
	}

	/** Absolute LR of a cell (down side); 0 is frozen. */
	cell(stack, component, block, weight = this.state.weights[stack][block]) {
		if (this.off.has(component) || this.isOff(stack, block)) return 0;
		const override = this.state.cells[stack]?.[component]?.[block];
		if (override !== undefined) return this.resolve(override);
		const fixed = this.state.block_lr[stack]?.[block];
		if (fixed !== undefined) return this.resolve(fixed) * weight;
		const curved = CURVED.has(component) || component in this.state.components;
		return this.lrs[component] * (curved ? this.depth[stack][block] : 1) * weight;
	}

	outside(component) {
		return this.off.has(component) ? 0 : this.lrs[component];
	}

	ratio(component) {
		const given = this.state.loraplus;
		return parseNumber(given[component] ?? given.unet ?? given[""] ?? "1") ?? NaN;
	}

	/** Rank of a cell, as far as the page knows. */
	rank(stack, component, block) {
		const { ranks } = this.state;
		const ofComponent = ranks.component_dim[component];
		const ofBlock = ranks.block_dims[stack]?.[block];
		if (ofBlock === 0 || Number(ofComponent) === 0) return 0;
		return ofBlock ?? Number(ofComponent ?? (ranks.dim || 4));
	}

	/** Whether a block trains at weight 1: settings can name no other. */
	isLive(stack, block) {
		if (this.isOff(stack.name, block)) return false;
		return stack.rows.some((row) => reaches(row, block) && this.cell(stack.name, row.component, block, 1) !== 0);
	}
}
