// Calls to the server, and who is told when it goes and returns.

const token = new URLSearchParams(location.hash.slice(1)).get("t") ?? "";
const RETRY_MS = 3000;

/** "ok", "gone" (no answer), "refused" (wrong token). */
export let connection = "ok";
const listeners = [];

export function onConnection(listener) {
	listeners.push(listener);
}

function become(next) {
	if (next === connection) return;
	connection = next;
	if (next === "gone") setTimeout(retry, RETRY_MS);
	for (const listener of listeners) listener(next);
}

async function retry() {
	if (connection !== "gone") return;
	await call("ping").catch(() => setTimeout(retry, RETRY_MS));
}

export class CallError extends Error {}

/** The answer of api/<name>, problems of the grid included; throws CallError where there is none. */
export async function call(name, body = {}) {
	let response;
	try {
		response = await fetch(`api/${name}`, {
			method: "POST",
			headers: { "Content-Type": "application/json", "X-Lr-Grid-Token": token },
			body: JSON.stringify(body),
		});
	} catch {
		become("gone");
		throw new CallError("The server does not answer.");
	}
	if (response.status === 401) {
		become("refused");
		throw new CallError("The token of this address is not the server's.");
	}
	const answer = await response.json().catch(() => null);
	become("ok");
	if (!response.ok || answer === null) {
		throw new CallError(answer?.error ?? `The server answers ${response.status}.`);
	}
	return answer;
}

/** The answer, or null where there is none or only problems: those are told. */
export async function asked(name, body, tell) {
	try {
		const answer = await call(name, body);
		if (!answer.problems) return answer;
		tell(answer.problems.map(({ text }) => text).join(" "));
	} catch (error) {
		if (!(error instanceof CallError)) throw error;
		tell(error.message);
	}
	return null;
}
