// Undo and redo: states as text, each with a word for what led to it. Equal states make no step.

const MOST = 300;

export class History {
	constructor(state) {
		this.reset(state);
	}

	reset(state) {
		this.steps = [{ text: JSON.stringify(state), word: "" }];
		this.at = 0;
	}

	/** Notes a state; false where it is the last one again. */
	push(state, word) {
		const text = JSON.stringify(state);
		if (text === this.text) return false;
		this.steps.splice(this.at + 1, Infinity, { text, word });
		if (this.steps.length > MOST) this.steps.shift();
		this.at = this.steps.length - 1;
		return true;
	}

	get undoWord() {
		return this.at > 0 ? this.steps[this.at].word : "";
	}

	get redoWord() {
		return this.steps[this.at + 1]?.word ?? "";
	}

	get text() {
		return this.steps[this.at].text;
	}

	current() {
		return JSON.parse(this.text);
	}

	/** The state before, or null. */
	undo() {
		if (this.at === 0) return null;
		this.at -= 1;
		return this.current();
	}

	redo() {
		if (this.at + 1 >= this.steps.length) return null;
		this.at += 1;
		return this.current();
	}
}
