// Sends a question with the token on the page, and shows the answer as it streams.
const form = document.getElementById("try");
const box = document.getElementById("answer");

/** Changes the answer, and keeps it scrolled to the end if it was. */
function following(change) {
  const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 32;
  change();
  if (atEnd) {
    box.scrollTop = box.scrollHeight;
  }
}

function line(className) {
  const p = document.createElement("p");
  p.className = className;
  p.dir = "auto";
  box.append(p);
  return p;
}

/** Yields the events of a stream: the JSON objects of its "data:" lines. */
async function* events(body) {
  let rest = "";
  for await (const text of readAll(body.pipeThrough(new TextDecoderStream()))) {
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    for (const one of lines) {
      const data = one.startsWith("data:") ? one.slice(5).trim() : "";
      if (data.startsWith("{")) {
        yield JSON.parse(data);
      }
    }
  }
}

// Streams are not iterable in every browser yet.
async function* readAll(stream) {
  const reader = stream.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    yield part.value;
  }
}

function names(source) {
  return (Array.isArray(source) ? source : [source]).map((one) => one?.title || one?.source || "").filter(Boolean);
}

async function ask(question) {
  const token = document.querySelector("[data-token]").textContent;
  const answer = line("text");
  const from = new Set();
  let refused = "";
  const response = await fetch(form.action, { method: "POST", body: new URLSearchParams({ token, question }) });
  if (response.redirected) {
    throw new Error("Your session has ended. Reload this page to sign in.");
  }
  if (!response.ok || !response.body) {
    throw new Error(`The console responded with status ${response.status}.`);
  }
  for await (const event of events(response.body)) {
    if (event.type === "answer") {
      following(() => { answer.textContent += event.answer ?? ""; });
    } else if (event.type === "source") {
      names(event.source).forEach((name) => from.add(name));
    } else if (event.type === "error") {
      refused = String(event.error ?? "The gate rejected the question.");
    } else if (event.type === "done") {
      refused ||= event.error ?? (event.status >= 400 ? "The gate rejected the question." : "");
      if (refused && event.status >= 400) {
        refused = `${refused} (status ${event.status})`;
      }
    }
  }
  following(() => {
    if (from.size > 0) {
      line("from").textContent = `Sources: ${[...from].join(", ")}`;
    }
    if (refused) {
      line("refused").textContent = refused;
    } else if (answer.textContent === "") {
      line("refused").textContent = "There was no answer.";
    }
  });
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  if (button.ariaDisabled === "true") {
    return;
  }
  const question = form.elements.question.value.trim();
  if (question === "") {
    form.elements.question.focus();
    return;
  }
  button.ariaDisabled = "true"; // a disabled button would lose the focus
  box.hidden = false;
  box.setAttribute("aria-busy", "true");
  box.replaceChildren();
  try {
    await ask(question);
  } catch (error) {
    line("refused").textContent = error instanceof TypeError ? "The console could not be reached." : error.message;
  } finally {
    button.ariaDisabled = null;
    box.removeAttribute("aria-busy");
  }
});

// Without this script, submitting the form would leave the page, and the token would be lost.
form.closest("section").hidden = false;
