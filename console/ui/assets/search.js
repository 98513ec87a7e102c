// Search while typing: fetches the page of results, and replaces the list with its list.
const form = document.getElementById("filters");
let waiting;
let under;

async function search() {
  under?.abort();
  under = new AbortController();
  const address = new URL(form.action);
  for (const [name, value] of new FormData(form)) {
    if (value !== "") {
      address.searchParams.set(name, value);
    }
  }
  try {
    const response = await fetch(address, { signal: under.signal, headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const results = page.getElementById("results");
    if (!response.ok || !results) {
      location.assign(address); // signed out, or an error page
      return;
    }
    // The element with the number of results is kept, so that screen readers announce its change.
    const found = document.getElementById("found");
    found.replaceChildren(...page.getElementById("found").childNodes);
    page.getElementById("found").remove();
    document.getElementById("results").replaceChildren(found, ...results.childNodes);
    count(page.querySelectorAll(".counts a"));
    history.replaceState(null, "", address);
  } catch (error) {
    if (error.name !== "AbortError") {
      document.getElementById("found").textContent = "The console could not be reached. The list may be out of date.";
    }
  }
}

// Updates the counts by state and the marked state. The links are kept, since one of them may have the focus.
function count(fresh) {
  for (const [i, link] of document.querySelectorAll(".counts a").entries()) {
    link.replaceChildren(...fresh[i].childNodes);
    link.className = fresh[i].className;
    link.ariaCurrent = fresh[i].getAttribute("aria-current");
  }
}

form?.addEventListener("input", (event) => {
  // A pasted token must not be in a URL. Its last characters find the key as well.
  const typed = event.target.value;
  const token = /^\s*dg[kps]_[0-9A-Za-z]{32}([0-9A-Za-z]{4})\s*$/.exec(typed);
  if (token) {
    event.target.value = token[1];
  }
  clearTimeout(waiting);
  waiting = setTimeout(search, event.target.tagName === "SELECT" ? 0 : 200);
});
form?.addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(waiting);
  search();
});
