"use strict";
(() => {
  const config = JSON.parse(document.getElementById("config").textContent);
  const byId = (id) => document.getElementById(id);
  const theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";

  // Shows what this page sends to the gate, and then what the backend got of it.
  const fetchAsBefore = window.fetch;
  window.fetch = async (resource, options = {}) => {
    const url = typeof resource === "string" ? resource : resource.url;
    const toGate = url.startsWith(config.gate + "/") && options.method === "POST";
    if (!toGate || !config.last) return fetchAsBefore(resource, options);
    byId("sent").textContent = "POST " + url.slice(config.gate.length) + "\nContent-Type: application/json\nOrigin: " +
      location.origin + "\n\n" + JSON.stringify(JSON.parse(options.body), null, 2);
    byId("received").textContent = "…";
    try {
      return await fetchAsBefore(resource, options);
    } finally {
      fetchAsBefore("/last").then((reply) => reply.json()).then((last) => {
        byId("received").textContent = last.request || "Nothing: the gate refused it.";
      }).catch(() => {
        byId("received").textContent = "The demo is not running any more.";
      });
    }
  };

  renderDocsGPTWidget("widget", {
    apiHost: config.gate,
    apiKey: config.token,
    avatar: "/assets/mark.svg",
    buttonIcon: "/assets/chat.svg",
    buttonBg: theme === "dark" ? "#0f766e" : "#115e59",
    buttonText: "Ask a question",
    title: "Ask the handbook",
    description: "Answers come through the gate",
    heroTitle: "The real widget",
    heroDescription: "Ask anything. The answer names the source that it was made from.",
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

  const steal = byId("steal");
  steal?.addEventListener("click", async () => {
    const stolen = byId("stolen");
    steal.disabled = true;
    try {
      const reply = await fetch(config.gate + "/api/answer", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: config.theft,
      });
      const said = await reply.json();
      stolen.textContent = said.answer ? "Answered: " + said.answer.split("\n")[0] : reply.status + " " + (said.message || said.error);
    } catch {
      stolen.textContent = "The gate does not answer. Is the demo still running?";
    }
    stolen.hidden = false;
    steal.disabled = false;
  });

  for (const button of document.querySelectorAll(".copy")) {
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.previousElementSibling.textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }
})();
