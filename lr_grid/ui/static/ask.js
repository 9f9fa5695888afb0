// One question at a time, in the page's own dialog.

import { $, button, h } from "./dom.js";

/** Asks for text; null where it is given up. `check` gives a problem's words, or "". */
export function ask(title, { value = "", check = () => "", yes = "OK", text = true } = {}) {
	const dialog = $("ask");
	return new Promise((done) => {
		const input = h("input", { value, "aria-label": title, spellcheck: "false" });
		const wrong = h("p", { class: "problem", role: "alert" });
		const close = (result) => {
			dialog.close();
			dialog.replaceChildren();
			done(result);
		};
		const accept = (event) => {
			event.preventDefault();
			const problem = text ? check(input.value.trim()) : "";
			wrong.textContent = problem;
			if (!problem) close(text ? input.value.trim() : true);
		};
		const form = h(
			"form",
			{ method: "dialog", onsubmit: accept },
			h("h2", { id: "ask-title" }, title),
			text ? input : null,
			wrong,
			h("div", { class: "line" }, h("button", { type: "submit" }, yes), button("Cancel", () => close(null))),
		);
		dialog.replaceChildren(form);
		dialog.oncancel = () => close(null);
		dialog.showModal();
		if (text) input.select();
	});
}
