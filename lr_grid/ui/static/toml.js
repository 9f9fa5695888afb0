// A grid file, word for word as Python writes it; a test holds both together.

import { RATE, isNumber, numberText } from "./numbers.js";

/** What Python says of grid files. */
const grammar = { keys: [], blocks: [], rules: [], comments: {} };
export const useGrammar = (given) => Object.assign(grammar, given);

const section = (key) => key.match(/^te[123]?_(.+)$/)?.[1] ?? key;
const isGridKey = (key) => grammar.keys.includes(section(key)) || /^(train|exclude)_([A-Za-z]\w*_)?block_indices$/.test(section(key));

/** A grid file, as lr_grid.convert.grid_toml writes it. */
export function toml(words) {
	const values = [...words].filter(([key]) => isGridKey(key)).map(([key, text]) => [key, typed(section(key), text)]);
	if (!values.length) return "";
	const commented = (line, key) => {
		const comment = grammar.comments[section(key)];
		return comment && !line.includes("\n") ? `${line}  # ${comment}` : line;
	};
	const lines = ["# A grid for lr-grid: --network_args grid=/path/to/this.toml"];
	for (const [key, value] of values) {
		if (!(value instanceof Map)) lines.push(commented(`${key} = ${tomlValue(value)}`, key));
	}
	for (const [key, value] of values) {
		if (!(value instanceof Map)) continue;
		lines.push("", commented(`[${key}]`, key));
		for (const [name, item] of value) lines.push(`${/^[\w-]+$/.test(name) ? name : tomlText(name)} = ${tomlValue(item)}`);
	}
	return lines.join("\n");
}

function typed(name, text) {
	if (name === "per_layer_lr" || name === "log_grad_norms") return /^(true|1|yes|on)$/i.test(text.trim());
	if (grammar.blocks.includes(name)) return blockTable(text);
	if (grammar.rules.includes(name)) return table(ruleList(text), text);
	return tomlNumber(text);
}

function table(pairs, text) {
	const map = new Map(pairs.map(([key, value]) => [key, tomlNumber(value)]));
	return map.size === pairs.length ? map : text;
}

function blockTable(text) {
	const items = text.split(",").map((item) => item.trim()).filter(Boolean);
	if (!items.some((item) => item.includes(":"))) return items.map(tomlNumber);
	const pairs = items.map((item) => [item.slice(0, item.lastIndexOf(":")).trim(), item.slice(item.lastIndexOf(":") + 1)]);
	return table(pairs, text);
}

/** "regex:1e-4,regex:0.5x" as pairs. */
function ruleList(text) {
	const rules = [];
	let rest = text.trim();
	const rule = new RegExp(`^(.+?):\\s*(${RATE})\\s*(?:,|$)`);
	for (let found = rule.exec(rest); rest && found; found = rule.exec(rest)) {
		rules.push([found[1].trim(), found[2]]);
		rest = rest.slice(found[0].length).trim();
	}
	return rules;
}

function tomlNumber(value) {
	const text = value.trim();
	return isNumber(text) ? Number(text) : text;
}

function tomlText(text) {
	if (text.includes("\\") && !text.includes("'") && !/[\p{C}]/u.test(text)) return `'${text}'`;
	return JSON.stringify(text).replaceAll("\x7f", "\\u007f");
}

function tomlValue(value) {
	if (typeof value === "boolean") return String(value);
	if (typeof value === "number") return numberText(value);
	if (!Array.isArray(value)) return tomlText(value);
	const items = value.map(tomlValue);
	const line = `[${items.join(", ")}]`;
	if (line.length <= 100) return line;
	const rows = [];
	for (let i = 0; i < items.length; i += 5) rows.push(`    ${items.slice(i, i + 5).join(", ")},\n`);
	return `[\n${rows.join("")}]`;
}
