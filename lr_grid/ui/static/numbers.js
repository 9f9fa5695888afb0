// Numbers as text: Python's spelling in what is written, few digits in what is shown.

const NUMBER = "[+-]?(?:\\d+\\.?\\d*|\\.\\d+)(?:[eE][+-]?\\d+)?";
export const RATE = `${NUMBER}[xX]?`;
const IS_NUMBER = new RegExp(`^${NUMBER}$`);
const IS_RATE = new RegExp(`^${RATE}$`);

/** A number as Python's convert.texts.number_text has it: 1, 0.3, 1e-05. */
export function numberText(value) {
	if (Number.isInteger(value) && Math.abs(value) < 1e15) return String(value === 0 ? 0 : value);
	const [digits, exponent] = Math.abs(value).toExponential().split("e");
	const sign = value < 0 ? "-" : "";
	const e = Number(exponent);
	const bare = digits.replace(".", "");
	if (e < -4 || e >= 16) {
		return `${sign}${digits}e${e < 0 ? "-" : "+"}${String(Math.abs(e)).padStart(2, "0")}`;
	}
	if (e < 0) return `${sign}0.${"0".repeat(-e - 1)}${bare}`;
	if (bare.length <= e + 1) return `${sign}${bare.padEnd(e + 1, "0")}.0`;
	return `${sign}${bare.slice(0, e + 1)}.${bare.slice(e + 1)}`;
}

export const isNumber = (text) => IS_NUMBER.test(text.trim());

export function parseNumber(text) {
	const value = isNumber(String(text)) ? Number(String(text).trim()) : NaN;
	return Number.isFinite(value) ? value : null;
}

/** "4e-4" -> {value, relative: false}; "1.5x" -> {value, relative: true}; null for anything else. */
export function parseRate(text) {
	const trimmed = String(text).trim();
	if (!IS_RATE.test(trimmed)) return null;
	const relative = /[xX]$/.test(trimmed);
	const value = Number(relative ? trimmed.slice(0, -1) : trimmed);
	return Number.isFinite(value) ? { value, relative } : null;
}

export function lrText(value) {
	if (value === 0) return "0";
	return value.toExponential(1).replace(".0e", "e");
}

export function timesText(value) {
	if (value === 0) return "0";
	if (Math.abs(value) < 0.01) return value.toExponential(0);
	return String(Number(value.toPrecision(3)));
}

export const barText = (value) => value >= 10 || (value > 0 && value < 0.01) ? timesText(value) : String(hundredths(value));

/** The same for a narrow place: .25, 1.5, 16. */
export function shortTimes(value) {
	if (value === 0) return "0";
	if (Math.abs(value) < 0.01) return "~0";
	return String(Number(value.toPrecision(2))).replace(/^(-?)0\./, "$1.");
}

export const hundredths = (value) => Math.round(value * 100) / 100;
