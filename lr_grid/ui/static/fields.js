// Text fields that check what is typed.

import { announce, h, on } from "./dom.js";
import { app, edit } from "./store.js";

/** An <input>: spec.parse gives the text to keep, null where it is wrong; spec.value is what Escape brings back. */
export function field(spec, keep, attributes = {}) {
	const input = h("input", {
		type: "text",
		"aria-label": spec.label,
		title: `${spec.label}: ${spec.allowed}`,
		placeholder: spec.placeholder,
		value: spec.value,
		spellcheck: "false",
		autocomplete: "off",
		...attributes,
	});
	const check = () => {
		const kept = spec.parse(input.value.trim());
		if (kept === null) {
			input.setAttribute("aria-invalid", "true");
			announce(`${spec.label}: ${input.value} is not ${spec.allowed}`);
			return;
		}
		input.removeAttribute("aria-invalid");
		if (kept !== spec.value) keep(kept);
		spec.value = kept;
		input.value = kept;
	};
	on(input, "change", check);
	on(input, "keydown", (event) => {
		if (event.key === "Enter") check();
		if (event.key === "Escape") {
			input.value = spec.value;
			input.removeAttribute("aria-invalid");
		}
	});
	return input;
}

const refreshers = [];

/** A field bound to a part of the state: get(state), set(state, text). */
export function bound(label, allowed, parse, get, set, attributes) {
	const spec = { label, allowed, parse, value: "" };
	const input = field(spec, (text) => edit(label, (state) => set(state, text)), { size: 4, ...attributes });
	refreshers.push(() => {
		spec.value = get(app.state);
		if (document.activeElement !== input && input.value !== spec.value) input.value = spec.value;
	});
	return input;
}

export function refreshFields() {
	for (const refresh of refreshers) refresh();
}
