// Python's word on the grid: asked after every change, and the last.

import { asked, call } from "./api.js";
import { announce, debounced } from "./dom.js";
import { reaches } from "./formula.js";
import { app, draw, showRows } from "./store.js";

const CHECK_MS = 250;

const checkLater = debounced(CHECK_MS, () => checkNow());

export const check = () => checkLater();

/** Asks Python about the state; an answer to an older state is dropped. */
export async function checkNow() {
	checkLater.cancel();
	const state = JSON.stringify(app.state);
	const answer = await call("write", { state: app.state }).catch(() => null);
	if (!answer) return draw();
	if (state !== JSON.stringify(app.state)) return undefined;
	app.problems = answer.problems ?? [];
	app.checked = true;
	for (const form of Object.keys(app.texts)) if (form in answer) app.texts[form] = answer[form];
	if (answer.cells) {
		app.written = answer;
		app.beyond = differing(answer.cells);
		if (rowsDiffer(answer.cells)) await loadRows();
	}
	return draw();
}

/** Whether the run's modules are not where the page shows them (conv_dim and the like do that). */
function rowsDiffer(cells) {
	return app.model.stacks.some(({ name, rows }) => {
		const own = cells[name] ?? {};
		const same = (row) =>
			own[row.component]?.lr.every((lr, block) => (lr !== null) === reaches(row, block));
		return Object.keys(own).length !== rows.length || !rows.every(same);
	});
}

async function loadRows() {
	const { model, module, kept } = app.state;
	const answer = await asked("model", { model, module, kept }, announce);
	if (!answer || JSON.stringify(answer.model) === JSON.stringify(app.model)) return;
	showRows(answer.model);
	check();
}

/** Cells whose LR is not the page's (rules by regex, merged levels). */
function differing(cells) {
	const result = {};
	for (const [stack, rows] of Object.entries(cells)) {
		for (const [component, { lr }] of Object.entries(rows)) {
			lr.forEach((value, block) => {
				if (value === null) return;
				const own = stack ? app.formula.cell(stack, component, block) : app.formula.outside(component);
				const same = !Array.isArray(value) && Math.abs(value - own) <= 1e-9 * Math.max(Math.abs(value), Math.abs(own));
				if (!same) ((result[stack] ??= {})[component] ??= {})[block] = value;
			});
		}
	}
	return result;
}
