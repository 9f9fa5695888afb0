// The page's start, and the order in which it is drawn.

import { CallError, call, connection, onConnection } from "./api.js";
import { refreshCalculator, startCalculator } from "./calculator.js";
import { check, checkNow } from "./check.js";
import { $, announce, banner, h, on, setAttr } from "./dom.js";
import { openFile, refreshShown, saveFile, startFiles } from "./files.js";
import { startGestures } from "./gestures.js";
import { refreshHeader, startHeader } from "./header.js";
import { startKeyboard } from "./keyboard.js";
import { LORAPLUS, LR, RANK } from "./lens.js";
import { app, begin, draw, load, onChange, onStep, replace, restart, save, saved } from "./store.js";
import { buildStrips, refreshStrips, startStrips } from "./strips.js";
import { refreshText, startText } from "./text.js";
import { useGrammar } from "./toml.js";
import { makeLegend, makeTools, refreshReadout, refreshTools } from "./tools.js";

function makeViews() {
	$("views").append(
		...[LR, LORAPLUS, RANK].map(({ name, title }) =>
			h("label", {}, h("input", { type: "radio", name: "view", value: name, onchange: () => show(name) }), title),
		),
	);
}

function show(name) {
	app.view = name;
	save();
	draw(true);
}

function drawAll(whole) {
	document.body.dataset.view = app.shown ? "shown" : app.view;
	for (const input of $("views").querySelectorAll("input")) input.checked = input.value === app.view;
	refreshShown();
	if (whole) buildStrips();
	else refreshStrips();
	refreshTools();
	refreshHeader();
	refreshText();
	refreshCalculator();
	setAttr(document.body, "data-checked", app.checked ? "yes" : "no");
}

const BAD_TOKEN =
	"This address has not the server's token. Open the one that lr-grid ui printed in the terminal (it ends in #t=…). Nothing can be read or saved from here.";
const GONE = "The server is gone. Editing and copying go on; checking, presets and files wait until it is back (start lr-grid ui again at the same port).";

function tellConnection(now) {
	if (now === "refused") banner(BAD_TOKEN);
	else if (now === "gone") banner(GONE);
	else {
		banner();
		announce("The server is back.");
		if (app.state) check();
	}
	if (app.state) draw();
}

async function start() {
	onConnection(tellConnection);
	const before = saved();
	let answer;
	try {
		answer = await call("start", { model: before?.state?.model ?? null });
		if (!answer.model) answer = await call("start"); // what was kept is of another version
	} catch (error) {
		if (!(error instanceof CallError)) throw error;
		if (connection === "ok") banner(error.message);
		if (connection === "gone") onConnection((now) => now === "ok" && location.reload());
		return;
	}
	Object.assign(app, { models: answer.models, file: answer.file, calculator: answer.calculator });
	useGrammar(answer.grammar);
	begin(answer.model, answer.presets, answer.state);
	makeViews();
	makeTools($("tools"));
	makeLegend($("legend"));
	startStrips($("strips"), $("tools"));
	startHeader();
	startText();
	startFiles();
	startCalculator();
	startGestures($("strips"));
	startKeyboard({ openFile, saveFile });
	on($("strips"), "pointerover", refreshReadout);
	on($("strips"), "focusin", refreshReadout);
	onChange(drawAll);
	onStep(check);
	await restore(before, answer).catch(() => restart(answer.model.name, answer.state));
	if (answer.problems?.length) banner(answer.problems.map(({ text }) => text).join(" "));
	draw(true);
	await checkNow();
}

/** The page before a reload, if its file is the same. */
async function restore(before, answer) {
	if (!before?.state) return;
	const sameFile = (before.file?.name ?? "") === (answer.file?.name ?? "");
	if (!sameFile || !(await load(before.state.model))) return;
	if (before.file && answer.file) app.file.etag = before.file.etag;
	if (JSON.stringify(before.state) !== JSON.stringify(app.state)) replace(before.state, "before the reload");
	if (["loraplus", "rank"].includes(before.view)) app.view = before.view;
}

start();
