// Undo and redo: states as text, each with what led to it.

const MOST = 300;

export class History {
	constructor(state) {
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

	/** The state before (-1) or after (1), or null. */
	go(by) {
		if (!this.steps[this.at + by]) return null;
		this.at += by;
		return this.current();
	}
}
