// A few words for building the page.

/** An element: h("b", {class: "quiet", onclick: f}, "text", child). */
export function h(tag, attributes = {}, ...children) {
	const element = document.createElement(tag);
	for (const [name, value] of Object.entries(attributes)) {
		if (value === undefined || value === null || value === false) continue;
		if (name.startsWith("on")) on(element, name.slice(2), value);
		else element.setAttribute(name, value === true ? "" : value);
	}
	element.append(...children.filter((child) => child !== null && child !== undefined));
	return element;
}

export const button = (text, onclick, attributes) => h("button", { type: "button", onclick, ...attributes }, text);

export const $ = (id) => document.getElementById(id);

export const where = ({ dataset }) => ({ stack: dataset.stack, block: Number(dataset.block), index: Number(dataset.row) });

export const on = (element, event, listener) => element.addEventListener(event, listener);

/** Sets text only where it differs: layout is not asked for nothing. */
export function setText(element, text) {
	if (element.textContent !== text) element.textContent = text;
}

export function setAttr(element, name, value) {
	if (value === null || value === false) element.removeAttribute(name);
	else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/** A select's options; its value stays where it is among them. */
export function setOptions(select, options) {
	const before = select.value;
	select.replaceChildren(
		...options.map((option) => {
			const [value, text] = Array.isArray(option) ? option : [option, option];
			return h("option", { value }, text);
		}),
	);
	if (options.some((option) => (Array.isArray(option) ? option[0] : option) === before)) select.value = before;
}

/** Fills a box anew where its data changed. */
export function renew(box, data, make) {
	const key = JSON.stringify(data);
	if (box.dataset.key === key) return;
	box.dataset.key = key;
	box.replaceChildren(...make().filter((child) => child !== ""));
}

export function debounced(ms, action) {
	let timer = 0;
	const later = (...args) => {
		clearTimeout(timer);
		timer = setTimeout(() => action(...args), ms);
	};
	later.cancel = () => clearTimeout(timer);
	return later;
}

/** What went wrong, or nothing, over everything. */
export function banner(...words) {
	$("banner").replaceChildren(...(words.length ? [h("p", {}, ...words)] : []));
}

/** For those who listen. */
export function announce(text) {
	const region = $("live");
	region.textContent = "";
	region.textContent = text;
}

export function download(name, text) {
	const url = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
	const link = h("a", { href: url, download: name });
	document.body.append(link);
	link.click();
	link.remove();
	setTimeout(() => URL.revokeObjectURL(url), 10000);
}
