"use strict";
(() => {
  const config = JSON.parse(document.getElementById("config").textContent);
  const byId = (id) => document.getElementById(id);
  const theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";

  // Shows the request that this page sends to the gate, and then the one that the backend received.
  const originalFetch = window.fetch;
  window.fetch = async (resource, options = {}) => {
    const url = typeof resource === "string" ? resource : resource.url;
    const toGate = url.startsWith(config.gate + "/") && options.method === "POST";
    if (!toGate || !config.last) return originalFetch(resource, options);
    byId("sent").textContent = "POST " + url.slice(config.gate.length) + "\nContent-Type: application/json\nOrigin: " +
      location.origin + "\n\n" + JSON.stringify(JSON.parse(options.body), null, 2);
    byId("received").textContent = "…";
    try {
      return await originalFetch(resource, options);
    } finally {
      originalFetch("/last").then((response) => response.json()).then((last) => {
        byId("received").textContent = last.request || "Nothing: the gate rejected the request.";
      }).catch(() => {
        byId("received").textContent = "The demo is no longer running.";
      });
    }
  };

  renderDocsGPTWidget("widget", {
    apiHost: config.gate,
    apiKey: config.token,
    avatar: "/assets/logo.svg",
    buttonIcon: "/assets/chat.svg",
    buttonBg: theme === "dark" ? "#0f766e" : "#115e59",
    buttonText: "Ask a question",
    title: "Ask the handbook",
    description: "Answers come through the gate",
    heroTitle: "The real widget",
    heroDescription: "Ask anything. The answer names its source.",
    theme,
  });
  renderSearchBar("search", {
    apiHost: config.gate,
    apiKey: config.token,
    theme,
    placeholder: "Search the handbook",
    buttonText: "Search",
    width: "16rem",
  });

  // The reason why a request failed without a response that this page can read.
  const notReadable = () => (location.origin === config.origin ? "The gate does not respond. Is the demo still running?" :
    "This page has another origin than the key allows, so it cannot read the gate's response.");

  const button = byId("cross-source");
  button?.addEventListener("click", async () => {
    const result = byId("cross-source-result");
    button.disabled = true;
    try {
      const response = await fetch(config.gate + "/api/answer", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: config.crossSourceBody,
      });
      const { answer, message, error } = await response.json();
      result.textContent = answer ? "Answer: " + answer.split("\n")[0] : response.status + " " + (message || error);
    } catch {
      result.textContent = notReadable();
    }
    result.hidden = false;
    button.disabled = false;
  });

  // Searches until the visitor's limit is reached, waits for as long as the gate says, and searches once more.
  const limit = byId("limit");
  limit.addEventListener("click", async () => {
    const result = byId("limit-result");
    const say = (text) => { result.textContent = text; result.hidden = false; };
    const search = () => originalFetch(config.gate + "/api/search", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ question: "start", api_key: config.token }),
    });
    limit.disabled = true;
    try {
      let count = 1;
      let response = await search();
      while (response.ok) {
        say(count + " searches");
        count++;
        response = await search();
      }
      const { message } = await response.json();
      const rejected = "Search " + count + ": " + response.status + " " + message;
      say(rejected);
      if (response.status === 429) {
        for (let wait = Number(response.headers.get("Retry-After")); wait > 0; wait--) {
          say(rejected + " Waiting: " + wait + " s");
          await new Promise((resume) => setTimeout(resume, 1000));
        }
        response = await search();
        say(rejected + " After the wait: " + (response.ok ? "it works again." : response.status));
      }
    } catch {
      say(notReadable());
    }
    limit.disabled = false;
  });

  for (const copy of document.querySelectorAll(".copy")) {
    copy.addEventListener("click", async () => {
      await navigator.clipboard.writeText(copy.previousElementSibling.textContent);
      copy.textContent = "Copied";
      setTimeout(() => { copy.textContent = "Copy"; }, 1500);
    });
  }
})();
