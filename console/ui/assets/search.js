// Search while typing: sends the form, and replaces the list with the list of the response. The search is sent in a body, since it may
// contain a token. The server responds with a redirect to an address without it.
const form = document.getElementById("filters");
let waiting;
let under;

async function search() {
  under?.abort();
  under = new AbortController();
  try {
    const response = await fetch(form.action, {
      method: "POST", body: new URLSearchParams(new FormData(form)), signal: under.signal, headers: { Accept: "text/html" },
    });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const results = page.getElementById("results");
    if (!response.ok || !results) {
      location.assign(response.redirected ? response.url : form.action); // signed out, or an error page
      return;
    }
    // The element with the number of results is kept, so that screen readers announce its change.
    const found = document.getElementById("found");
    found.replaceChildren(...page.getElementById("found").childNodes);
    page.getElementById("found").remove();
    document.getElementById("results").replaceChildren(found, ...results.childNodes);
    count(page.querySelectorAll(".counts a"));
    if (new URL(response.url).searchParams.has("key")) {
      form.elements.q.value = ""; // a token, which has been found
    }
    history.replaceState(null, "", response.url);
  } catch (error) {
    if (error.name !== "AbortError") {
      document.getElementById("found").textContent = "The console could not be reached. The list may be out of date.";
    }
  }
}

// Updates the counts by state and the marked state. The links are kept if possible, since one of them may have the focus.
function count(fresh) {
  const links = document.querySelectorAll(".counts a");
  if (links.length !== fresh.length) {
    document.querySelector(".counts").replaceChildren(...fresh);
    return;
  }
  for (const [i, link] of links.entries()) {
    link.replaceChildren(...fresh[i].childNodes);
    link.href = fresh[i].getAttribute("href");
    link.ariaCurrent = fresh[i].getAttribute("aria-current");
  }
}

form?.addEventListener("input", (event) => {
  clearTimeout(waiting);
  waiting = setTimeout(search, event.target.tagName === "SELECT" ? 0 : 200);
});
form?.addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(waiting);
  search();
});
