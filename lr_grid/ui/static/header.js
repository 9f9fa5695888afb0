// The header: model, base LR, preset, summary, undo.

import { asked } from "./api.js";
import { ask } from "./ask.js";
import { $, announce, h, on, renew, setAttr, setText } from "./dom.js";
import { bound } from "./fields.js";
import { parseNumber } from "./numbers.js";
import { blank, withGrid } from "./state.js";
import { app, blankOf, draw, learn, load, presetName, redo, replace, undo } from "./store.js";
import { summary } from "./tools.js";

const TRAINERS = [
	["sd-scripts", "sd-scripts"],
	["musubi-tuner", "musubi-tuner"],
	["diffusers", "loops of one's own (diffusers)"],
];
const CUSTOM = "\u0000custom";
let wanted = ""; // the model that is being loaded

export function startHeader() {
	const groups = TRAINERS.map(([trainer, title]) =>
		h(
			"optgroup",
			{ label: title },
			...app.models.filter((one) => one.trainer === trainer).map((one) => h("option", { value: one.name }, one.title)),
		),
	);
	$("model").append(...groups);
	on($("model"), "change", () => changeModel($("model").value));
	const above = (text) => (parseNumber(text) > 0 ? text : null);
	const base = bound("Base LR", "a number above 0 (1e-4): what relative LRs multiply", above, (state) => state.base_lr, (state, text) => (state.base_lr = text), { id: "base" });
	$("base").replaceWith(base);
	on($("preset"), "change", () => choosePreset($("preset").value));
	on($("keep-preset"), "click", keepPreset);
	on($("drop-preset"), "click", dropPreset);
	on($("undo"), "click", () => undo() || announce("Nothing to undo."));
	on($("redo"), "click", () => redo() || announce("Nothing to redo."));
}

async function changeModel(name) {
	wanted = name;
	const there = await load(name);
	if (wanted !== name) return; // another one was chosen meanwhile
	wanted = "";
	if (there) replace(blankOf(name), `model ${name}`);
	else draw();
}

function choosePreset(name) {
	const preset = app.presets.find((one) => one.name === name);
	const grid = preset ? preset.grid : blank(app.model);
	if (grid) replace(withGrid(app.state, grid), preset ? `preset ${preset.title}` : "no preset");
}

async function keepPreset() {
	const shipped = (name) => app.presets.some((one) => one.name === name && !one.own);
	const check = (name) => (name.length < 1 || name.length > 40 ? "1 to 40 characters." : shipped(name) ? "That name is taken by a shipped preset." : "");
	const name = await ask("Name of your preset", { check, yes: "Save" });
	if (name) await presets("presets/save", { name, state: app.state }, `Saved as ${name}.`);
}

async function dropPreset() {
	const name = presetName();
	if (await ask(`Delete your preset ${name}?`, { text: false, yes: "Delete" })) {
		await presets("presets/delete", { name, model: app.model.name }, `${name} is deleted.`);
	}
}

async function presets(call_name, body, done) {
	const answer = await asked(call_name, body, announce);
	if (!answer) return;
	learn(app.model, answer.presets);
	announce(done);
	draw();
}

function refreshPresets() {
	const select = $("preset");
	const now = presetName();
	const option = ({ name, title, grid, notes, kind }) =>
		h("option", { value: name, disabled: !grid, title: [title, kind, ...(notes ?? [])].join(". ") }, name);
	const group = (label, own) => {
		const list = app.presets.filter((preset) => preset.own === own);
		return list.length ? h("optgroup", { label }, ...list.map(option)) : "";
	};
	renew(select, [app.model.name, app.presets.map(({ name, own, grid }) => [name, own, !grid])], () => [
		h("option", { value: "" }, "none"),
		h("option", { value: CUSTOM, disabled: true }, "Custom"),
		group("yours", true),
		group("shipped", false),
	]);
	select.value = now ?? CUSTOM;
	const preset = app.presets.find(({ name }) => name === now);
	setAttr(select, "title", preset ? [preset.title, preset.kind, preset.source].filter(Boolean).join(". ") : null);
	$("drop-preset").hidden = !preset?.own;
}

export function refreshHeader() {
	const model = wanted || app.state.model;
	if ($("model").value !== model) $("model").value = model;
	setText($("summary"), summary());
	const { undoWord, redoWord } = app.history;
	for (const [id, title, word] of [["undo", "Undo", undoWord], ["redo", "Redo", redoWord]]) {
		setAttr($(id), "title", word ? `${title}: ${word}` : `Nothing to ${id}`);
		setAttr($(id), "aria-disabled", String(!word));
	}
	setText($("save"), app.file ? `Save ${app.file.name}` : "Save…");
	refreshPresets();
}
