// The base-LR calculator: both methods of `lr-grid recommend`, asked of the server.

import { asked } from "./api.js";
import { $, announce, button, debounced, download, h, on, setText } from "./dom.js";
import { lrText, numberText } from "./numbers.js";
import { app, edit } from "./store.js";

const BOTH = ["rank", "alpha", "batch_size", "gradient_accumulation", "optimizer"];
const OF = {
	rules: [...BOTH, "loraplus_lr_ratio"],
	lrtool: [...BOTH, "resolution", "images", "steps", "scheduler", "warmup", "objective", "offset"],
};
const LABELS = { batch_size: "Batch", gradient_accumulation: "Accumulation", loraplus_lr_ratio: "LoRA+ ratio", warmup: "Warmup %" };
const labelOf = (name) => LABELS[name] ?? name[0].toUpperCase() + name.slice(1);
let method = "rules";
let answer = null;
const inputs = {};

const later = debounced(150, calculate);

export function startCalculator() {
	const box = $("calculator");
	on($("calculate"), "click", () => {
		box.hidden = !box.hidden;
		$("calculate").setAttribute("aria-expanded", String(!box.hidden));
		if (!box.hidden) {
			build();
			inputs.method.focus();
			calculate();
		}
	});
	on(box, "keydown", (event) => {
		if (event.key !== "Escape") return;
		$("calculate").click();
		$("calculate").focus();
	});
}

function optionsOf(name) {
	const known = app.calculator;
	if (name === "optimizer") return method === "rules" ? known.optimizers : known.lrtool_optimizers;
	return { scheduler: known.schedulers, objective: known.objectives }[name];
}

function made(name, from) {
	const options = optionsOf(name);
	const label = { "aria-label": labelOf(name) };
	const input = options ? h("select", label, ...options.map((value) => h("option", { value }, value))) : h("input", { size: 5, ...label });
	input.value = String(from[name] ?? app.calculator.defaults[name] ?? "").replace("%", "");
	if (options && input.selectedIndex < 0) input.selectedIndex = 0;
	if (name === "offset") {
		const value = input.value || "0";
		Object.assign(input, { type: "range", min: -1, max: 1, step: 0.01, value, title: "double click: 0" });
		on(input, "dblclick", () => {
			input.value = "0";
			later();
		});
	}
	on(input, "input", later);
	inputs[name] = input;
	return h("label", {}, `${labelOf(name)} `, input);
}

function build(from = {}) {
	const before = { rank: app.state.ranks.dim, alpha: app.state.ranks.alpha, ...fields(), ...from };
	inputs.method = h("select", { "aria-label": "Method" }, h("option", { value: "rules" }, "rules and anchors"), h("option", { value: "lrtool" }, "LRTool's formula"));
	inputs.method.value = method;
	on(inputs.method, "change", () => {
		method = inputs.method.value;
		build();
		inputs.method.focus();
		calculate();
	});
	inputs.result = h("output", { id: "result", "aria-label": "Recommended LR" });
	inputs.score = h("p", { id: "score" });
	inputs.more = h("ul", { class: "small" });
	inputs.use = button("Use as base LR", use, { id: "use" });
	const files =
		method === "lrtool"
			? [button("Open profile…", openProfile), button("Save profile", saveProfile)]
			: [];
	$("calculator").replaceChildren(
		h("div", { class: "line" }, h("label", {}, "Method ", inputs.method), ...OF[method].map((name) => made(name, before))),
		h("div", { class: "line" }, inputs.result, inputs.use, ...files),
		inputs.score,
		h("details", {}, h("summary", {}, "How it comes about"), inputs.more),
	);
}

function fields() {
	return Object.fromEntries(OF[method].filter((name) => inputs[name]).map((name) => [name, inputs[name].value]));
}

function body() {
	return { method, fields: { model: app.model.name, ...fields() }, base_lr: app.state.base_lr };
}

async function calculate() {
	const question = body();
	let problem = "";
	const found = await asked("recommend", question, (text) => (problem = text));
	if (JSON.stringify(question) === JSON.stringify(body())) show(found, problem);
}

export function refreshCalculator() {
	const key = `${app.state.base_lr} ${app.model.name}`;
	const box = $("calculator");
	if (box.hidden || box.dataset.key === key) return;
	box.dataset.key = key;
	later();
}

const tell = (text) => setText(inputs.score, text);
const percent = (value) => `${Math.round(value)} %`;

function show(found, problem) {
	answer = found;
	inputs.use.disabled = !found?.takes_grid && method === "rules";
	inputs.more.replaceChildren();
	if (!found) {
		setText(inputs.result, "");
		setText(inputs.score, problem);
		return;
	}
	const notes = found.notes.map((text) => h("li", {}, text));
	if (method === "rules") {
		setText(inputs.result, `${lrText(found.typical)} (${lrText(found.low)} … ${lrText(found.high)})`);
		setText(inputs.score, found.place ?? "");
		inputs.more.append(h("li", {}, found.source), ...found.steps.map(({ text }) => h("li", {}, text)), ...notes);
		return;
	}
	setText(inputs.result, lrText(found.lr));
	const sign = found.implied_offset >= 0 ? "+" : "−";
	const offset = `${sign}${percent(Math.abs(100 * found.implied_offset))}`;
	setText(
		inputs.score,
		`Your base LR ${app.state.base_lr} (LRTool's at offset ${offset}): stability ${percent(found.stability)}, ${found.stability_band};` +
			` efficiency ${percent(found.efficiency)}, ${found.efficiency_band}.`,
	);
	inputs.more.append(...notes);
}

function use() {
	if (!answer) return;
	const lr = Number((method === "rules" ? answer.typical : answer.lr).toPrecision(3));
	edit("recommended base LR", (state) => (state.base_lr = lr < 0.001 ? lr.toExponential() : numberText(lr)));
	announce(`The base LR is ${app.state.base_lr}.`);
}

function openProfile() {
	const input = h("input", { type: "file", accept: ".json", "aria-label": "LRTool profile" });
	on(input, "change", async () => {
		const file = input.files[0];
		if (!file) return;
		const found = await asked("profile/read", { text: await file.text() }, tell);
		if (!found) return;
		build(found.fields);
		calculate();
	});
	input.click();
}

async function saveProfile() {
	const { fields: own, base_lr } = body();
	const found = await asked("profile/write", { fields: own, base_lr }, tell);
	if (found) download(found.name, found.text);
}
