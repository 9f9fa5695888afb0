// The text panel: a grid in three forms, and text that becomes one.

import { call, connection } from "./api.js";
import { $, announce, button, debounced, h, on, renew, setAttr, setText } from "./dom.js";
import { app, draw, edit, load, replace, showRows } from "./store.js";

const FORMS = { network_args: "network_args", toml: "TOML", command: "command line" };
let form = "network_args";
let typed = null; // the text under the hand, while it is no grid yet
let refused = null; // {text, problems, fits} of text that was no grid

const read = debounced(250, () => parse($("words").value, false));

export function startText() {
	const tabs = Object.entries(FORMS).map(([name, title]) =>
		button(title, () => choose(name), { role: "tab", id: `tab-${name}`, "aria-controls": "panel" }),
	);
	$("tabs").append(...tabs);
	on($("tabs"), "keydown", (event) => {
		const names = Object.keys(FORMS);
		const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
		if (!by) return;
		choose(names[(names.indexOf(form) + by + names.length) % names.length]);
		$(`tab-${form}`).focus();
	});
	const box = $("words");
	on(box, "input", () => {
		typed = box.value;
		read();
	});
	on(box, "blur", () => {
		if (typed !== null && !refused) typed = null;
		draw();
	});
	on(box, "keydown", (event) => {
		if (event.key === "Escape" && (refused || typed !== null)) restore();
	});
	on($("copy"), "click", copyText);
	on(document, "paste", (event) => {
		if (event.target.matches?.("input, textarea, select")) return;
		const text = event.clipboardData?.getData("text/plain");
		if (text?.trim()) parse(text, true);
	});
}

function choose(name) {
	form = name;
	typed = refused = null;
	draw();
}

function restore() {
	typed = refused = null;
	read.cancel();
	$("words").value = app.texts[form];
	draw();
}

async function copyText() {
	const text = $("words").value;
	try {
		await navigator.clipboard.writeText(text);
		say("Copied.");
	} catch {
		const box = $("words");
		box.focus();
		box.select();
		say("The browser refuses the clipboard: the text is selected, copy it with Ctrl+C.");
	}
}

let said = "";
let saying; // its timer

function say(text) {
	notice(); // of a change that is not drawn yet
	said = text;
	announce(text);
	draw();
	clearTimeout(saying); // an earlier message's end is not this one's
	saying = setTimeout(() => {
		said = "";
		draw();
	}, 6000);
}

/** Text as the grid; `whole`: pasted or opened, not typed. True where it became one. */
export async function parse(text, whole, model = app.state.model) {
	read.cancel();
	const { base_lr, ranks } = app.state;
	const question = { text, model, base_lr, ranks: { dim: ranks.dim, alpha: ranks.alpha } };
	const answer = await call("parse", question).catch(({ message }) => ({ problems: [{ text: `${message} The text was not read.` }] }));
	if (answer.problems) {
		refused = { problems: answer.problems, fits: answer.fits ?? [], text };
		if (whole) announce("That text is no grid: see the problems.");
		draw();
		return false;
	}
	refused = null;
	if (whole) typed = null;
	const same = { ...answer.state };
	if (!same.command.length) same.command = app.state.command;
	if (!same.module) same.module = same.model === app.state.model ? app.state.module : "";
	if (!(await load(same.model))) return false;
	replace(same, whole ? "paste" : "type text");
	if (answer.model) showRows(answer.model);
	seen = app.history.text;
	notes = [...answer.lost, ...answer.notes];
	if (whole) say(`Read as ${FORMS[answer.form] ?? answer.form}.`);
	draw();
	return true;
}

let notes = [];

function refreshProblems() {
	const items = refused ? refused.problems : app.problems;
	const { fits = [], text: source } = refused ?? {};
	renew($("problems"), [items, source], () => [
		...items.map(({ text, line }) => h("p", { class: "problem" }, line ? h("b", {}, `line ${line}: `) : null, text)),
		...fits.map(({ name, title }) => button(`Switch to ${title} (${name})`, () => switchTo(name, source))),
		refused ? button("Back to the last good text", restore) : "",
	]);
}

async function switchTo(name, text) {
	if (await parse(text, true, name)) announce(`The model is ${name} now.`);
}

function refreshKept() {
	const words = Object.entries(app.state.kept);
	const own = app.state.command;
	const chip = (title, text, label, drop) =>
		h("span", { class: "chip", title }, text, button("×", () => edit(label, drop), { "aria-label": label }));
	renew($("kept"), [words, own], () => [
		words.length ? h("span", { class: "what" }, "Kept as they are: ") : "",
		...words.map(([name, value]) => {
			const short = value.length > 40 ? `${value.slice(0, 37)}…` : value;
			return chip(`${name}=${value}`, `${name}=${short}`, `Remove ${name}`, (state) => delete state.kept[name]);
		}),
		own.length
			? chip(own.join(" "), `command line of ${own.length} words`, "Forget the command line", (state) => (state.command = []))
			: "",
	]);
}

function refreshNotices() {
	const items = [...new Set([...notes, ...(app.problems.length ? [] : (app.written?.notices ?? []))])];
	renew($("notices"), items, () => {
		if (!items.length) return [];
		const list = h("ul", {}, ...items.map((text) => h("li", {}, text)));
		const title = `${items.length} note${items.length > 1 ? "s" : ""}`;
		return [h("details", { open: items.length < 4 }, h("summary", {}, title), list)];
	});
}

function status() {
	if (refused) return "Not read: the grid is as it was.";
	if (said) return said;
	if (connection !== "ok") return "Written by the page; not checked.";
	if (app.problems.length) return "The run would refuse this grid.";
	if (!app.checked) return "Checking…";
	const { groups, parameters } = app.written ?? {};
	const size = parameters ? `, ${parameters.toLocaleString("en")} parameters` : "";
	return `Checked: ${groups} optimizer group${groups === 1 ? "" : "s"}${size}.`;
}

let seen = "";

/** Any other change of the grid ends refused text, and notes on what was read. */
function notice() {
	const now = app.history.text;
	if (now === seen) return;
	seen = now;
	said = "";
	notes = [];
	if (document.activeElement === $("words")) return;
	typed = refused = null;
}

export function refreshText() {
	notice();
	for (const name of Object.keys(FORMS)) {
		const tab = $(`tab-${name}`);
		setAttr(tab, "aria-selected", String(name === form));
		setAttr(tab, "tabindex", name === form ? 0 : -1);
	}
	setAttr($("panel"), "aria-labelledby", `tab-${form}`);
	const box = $("words");
	const text = app.texts[form];
	const mine = document.activeElement === box || (refused && typed !== null);
	if (!mine && box.value !== text) box.value = text;
	const rows = Math.min(12, Math.max(3, box.value.split("\n").length));
	if (box.rows !== rows) box.rows = rows;
	box.placeholder = "No setting: everything trains at the base LR. Paste network_args, TOML, a command line or another tool's grid here.";
	setAttr(box, "aria-invalid", refused ? "true" : null);
	setText($("status"), status());
	refreshProblems();
	refreshKept();
	refreshNotices();
}

