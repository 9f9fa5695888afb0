// Files of the browser, the one of --file, a run's records.

import { asked as ask, connection } from "./api.js";
import { $, announce, banner, button, download, h, on, setOptions } from "./dom.js";
import { app, draw, load, replace, save, showRows } from "./store.js";
import { parse } from "./text.js";

const POLL_MS = 2000;
const CAP = 24 * 1024 * 1024;
let changed = null; // the file's etag, where it is not ours

export function startFiles() {
	on($("open"), "click", openFile);
	on($("save"), "click", saveFile);
	on($("file"), "change", () => {
		const [file] = $("file").files;
		$("file").value = "";
		if (file) read(file);
	});
	setInterval(poll, POLL_MS);
}

export function openFile() {
	$("file").click();
}

async function read(file) {
	if (file.size > CAP) return tell(`${file.name} is larger than 24 MB: lr-grid norms reads it on the command line.`);
	if (file.name.endsWith(".norms")) return view({ name: file.name, base64: await base64(file) });
	const text = await file.text();
	if (/^\s*\{/.test(text) && /"modules"\s*:/.test(text) && /"cells"\s*:/.test(text)) return view({ name: file.name, text });
	closeView();
	return parse(text, true);
}

async function base64(file) {
	const bytes = new Uint8Array(await file.arrayBuffer());
	let text = "";
	for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
	return btoa(text);
}

function tell(text) {
	banner(text, " ", button("Close", () => banner()));
}

const asked = (name, body) => ask(name, body, tell);

async function view(body) {
	const shown = await asked("view", body);
	if (!shown) return;
	if (shown.kind === "norms") shown.quantity = Object.keys(shown.quantities)[0];
	app.shown = shown;
	draw(true);
}

function closeView() {
	app.shown = null;
	draw(true);
}

export function refreshShown() {
	const box = $("shown");
	const { shown } = app;
	box.hidden = !shown;
	$("views").hidden = Boolean(shown);
	document.body.classList.toggle("showing", Boolean(shown));
	if (!shown) return box.replaceChildren();
	const title = `${shown.title} ${shown.quantity ?? ""}`;
	if (box.dataset.title === title && box.children.length) return undefined;
	box.dataset.title = title;
	const parts = [h("strong", {}, shown.title), h("span", {}, " read-only ")];
	if (shown.kind === "norms") {
		const select = h("select", { "aria-label": "Quantity" });
		setOptions(select, Object.keys(shown.quantities).map((key) => [key, shown.labels?.[key] ?? key]));
		select.value = shown.quantity;
		on(select, "change", () => {
			shown.quantity = select.value;
			draw(true);
			requestAnimationFrame(() => $("shown").querySelector("select")?.focus());
		});
		parts.push(select, h("span", { class: "small" }, " colours: times the median"));
	}
	if (shown.arguments) parts.push(button("Edit a copy", editCopy));
	parts.push(button("Back to the grid", closeView));
	const facts = h("dl", { class: "facts" }, ...shown.facts.map(([k, v]) => h("div", {}, h("dt", {}, k), h("dd", {}, String(v)))));
	return box.replaceChildren(h("div", { class: "line" }, ...parts), facts);
}

async function editCopy() {
	const { arguments: text, base_lr, model } = app.shown;
	if (await parse(text, true, model || app.state.model)) {
		app.shown = null;
		if (base_lr) {
			app.state.base_lr = String(base_lr);
			replace(app.state, "copy of a run");
		}
		draw(true);
	}
}

export async function saveFile() {
	if (!app.file) {
		const name = `${app.model.name.replace("/", "_")}.grid.toml`;
		if (!app.texts.toml) return announce("There is no setting to save.");
		download(name, `${app.texts.toml}\n`);
		return announce(`Saved as ${name}.`);
	}
	return saveOver(false);
}

async function saveOver(force) {
	const answer = await asked("file/save", { state: app.state, etag: app.file.etag, force });
	if (!answer) return;
	if (answer.changed) return outside(answer.etag);
	changed = null;
	app.file.etag = answer.etag;
	banner();
	save();
	announce(`${app.file.name} is saved.`);
}

function outside(etag) {
	changed = etag;
	banner(
		`${app.file.name} was changed outside this page. `,
		button("Load it", reload),
		" ",
		button("Write over it", () => saveOver(true)),
		" ",
		button("Later", () => banner()),
	);
}

async function reload() {
	const answer = await asked("file/read", {});
	if (!answer) return;
	if (!(await load(answer.state.model))) return;
	app.file.etag = answer.etag;
	changed = null;
	banner();
	replace(answer.state, `load ${app.file.name}`);
	if (answer.model) showRows(answer.model);
}

async function poll() {
	if (!app.file || document.hidden || connection !== "ok") return;
	const answer = await ask("file/poll", { etag: app.file.etag }, () => {});
	if (answer?.changed && answer.etag !== changed) outside(answer.etag);
}
