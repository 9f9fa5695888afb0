// A state as the fewest settings, as the server writes it; a test holds both together.

import { COMPONENTS, Formula, range, reaches } from "./formula.js";
import { numberText } from "./numbers.js";

/** Key -> text of --network_args, in the order they are written. */
export function argumentsOf(state, model) {
	const formula = new Formula(state, model);
	const live = {};
	for (const stack of model.stacks) live[stack.name] = range(stack.size).map((block) => formula.isLive(stack, block));
	const on = COMPONENTS.filter((component) => !state.components_off.includes(component));
	const words = new Map();
	const add = (key, value) => value && words.set(key, value);
	add("default_lr", state.default_lr);
	for (const component of on) add(`${component}_lr`, state.components[component]);
	const { strategy, min, peak, scope, levels } = state.depth;
	if (strategy !== "flat") {
		add("depth_strategy", strategy);
		if (min !== 0.3) add("min_depth_factor", numberText(min));
		if (strategy === "inverted_u" && peak !== 0.5) add("peak_position", numberText(peak));
		if (scope === "model") add("depth_scope", scope);
		if (levels) add("depth_levels", String(levels));
	}
	add("block_lr_weight", weightsText(state, model, live));
	add("block_lr", sparseText(state.block_lr, model, formula));
	add("module_lr", [...cellRules(state, model, formula), state.kept.module_lr].filter(Boolean).join(","));
	for (const stack of model.stacks) {
		const off = state.off[stack.name] ?? [];
		if (!off.length) continue;
		const name = model.stacks.length > 1 ? `${stack.name}_block_indices` : "block_indices";
		const rest = range(stack.size).filter((i) => !off.includes(i));
		if (off.length > rest.length) add(`train_${name}`, compact(rest) || "none");
		else add(`exclude_${name}`, compact(off));
	}
	add("exclude_components", state.components_off.join(","));
	add("loraplus_lr_ratio", state.loraplus[""]);
	add("loraplus_unet_lr_ratio", state.loraplus.unet);
	for (const component of on) add(`loraplus_${component}_lr_ratio`, state.loraplus[component]);
	for (const component of on) add(`${component}_dim`, state.ranks.component_dim[component]);
	for (const component of on) add(`${component}_alpha`, state.ranks.component_alpha[component]);
	add("block_dims", sparseText(state.ranks.block_dims, model, formula));
	add("block_alphas", sparseText(state.ranks.block_alphas, model, formula));
	const { module_lr: _, depth_scope, ...kept } = state.kept;
	for (const [key, value] of Object.entries(kept)) if (!words.has(key)) words.set(key, value);
	if (!words.has("depth_scope")) add("depth_scope", depth_scope);
	return words;
}

/** Dead blocks take the value of the live one before, or the first. */
function filled(values, live) {
	const first = live.indexOf(true);
	if (first < 0) return null;
	let last = values[first];
	return values.map((value, i) => (live[i] ? (last = value) : last));
}

function runsOf(values) {
	const runs = [];
	values.forEach((value, i) => {
		if (runs.length && runs.at(-1).value === value) runs.at(-1).last = i;
		else runs.push({ value, first: i, last: i });
	});
	return runs;
}

function runName(stack, { first, last }) {
	if (first === 0 && last === stack.size - 1) return stack.name;
	return first === last ? `${stack.name}_${first}` : `${stack.name}_${first}-${last}`;
}

function weightsText(state, model, live) {
	const entries = [];
	const list = [];
	for (const stack of model.stacks) {
		const values = filled(state.weights[stack.name], live[stack.name]);
		list.push(...(values ?? Array(stack.size).fill(1)));
		if (values) entries.push(...weightEntries(stack, values, live[stack.name]));
	}
	if (!entries.length) return "";
	const named = entries.join(",");
	const positional = list.map(numberText).join(",");
	return positional.length < named.length ? positional : named;
}

function weightEntries(stack, values, live) {
	const runs = runsOf(values);
	const entry = (run) => `${runName(stack, run)}:${numberText(run.value)}`;
	const plain = runs.filter((run) => run.value !== 1).map(entry);
	const counts = new Map();
	values.forEach((value, i) => live[i] && counts.set(value, (counts.get(value) ?? 0) + 1));
	let base = 1;
	let most = 0;
	for (const [value, count] of counts) if (count > most) [base, most] = [value, count];
	if (base === 1) return plain;
	const over = [`${stack.name}:${numberText(base)}`, ...runs.filter((run) => run.value !== base).map(entry)];
	return over.length < plain.length ? over : plain;
}

/** Values by stretches, which dead blocks do not interrupt. */
function sparseText(values, model, formula) {
	const entries = [];
	for (const stack of model.stacks) {
		const runs = [];
		const own = values[stack.name] ?? {};
		for (const block of Object.keys(own).map(Number)) {
			if (isDead(stack, block, formula)) continue;
			const run = runs.at(-1);
			let next = run ? run.last + 1 : 0;
			while (next < block && isDead(stack, next, formula)) next++;
			if (run && next === block && run.value === own[block]) run.last = block;
			else runs.push({ value: own[block], first: block, last: block });
		}
		for (const run of runs) entries.push(`${runName(stack, run)}:${run.value}`);
	}
	return entries.join(",");
}

function isDead(stack, block, formula) {
	if (formula.isOff(stack.name, block)) return true;
	return !stack.rows.some((row) => !formula.off.has(row.component) && reaches(row, block));
}

/** The regex of module_lr that is one cell; null where the page has none. */
export function cellName(row, block) {
	if (row.names === null) return null;
	return Array.isArray(row.names) ? row.names[block] : row.names.replaceAll("{}", block);
}

function cellRules(state, model, formula) {
	const rules = [];
	for (const stack of model.stacks) {
		for (const row of stack.rows) {
			const cells = state.cells[stack.name]?.[row.component];
			if (!cells || formula.off.has(row.component)) continue;
			for (const block of Object.keys(cells).map(Number)) {
				const name = cellName(row, block);
				if (name && !formula.isOff(stack.name, block)) rules.push(`${name}:${cells[block]}`);
			}
		}
	}
	return rules;
}

/** [0, 1, 2, 5] -> "0-2,5". */
function compact(blocks) {
	const parts = [];
	for (const i of blocks) {
		if (parts.length && i === parts.at(-1)[1] + 1) parts.at(-1)[1] = i;
		else parts.push([i, i]);
	}
	return parts.map(([a, b]) => (a === b ? `${a}` : `${a}-${b}`)).join(",");
}

/** A word as Python's shlex.quote has it. */
function quote(word) {
	if (word === "") return "''";
	return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
}

export function networkArgs(words) {
	if (!words.size) return "";
	return `--network_args ${[...words].map(([key, value]) => quote(`${key}=${value}`)).join(" ")}`;
}

export function command(state, model, words) {
	const own = state.command;
	const both = own.some((word) => /^["']?--learning_rate(["']?$|=)/.test(word));
	const pieces = own.length ? [own.join(" ")] : [];
	const module = state.module || model.module;
	if (module) pieces.push(`--network_module ${module}`);
	pieces.push(`${both ? "--unet_lr" : "--learning_rate"} ${state.base_lr}`);
	if (state.ranks.dim) pieces.push(`--network_dim ${state.ranks.dim}`);
	if (state.ranks.alpha) pieces.push(`--network_alpha ${state.ranks.alpha}`);
	if (words.size) pieces.push(networkArgs(words));
	return pieces.join(" \\\n  ");
}
