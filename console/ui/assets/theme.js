// Changes the theme without leaving the page. The server stores it in a cookie.
const form = document.getElementById("theme");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const theme = event.submitter.value;
  if (theme === "system") {
    delete document.documentElement.dataset.theme;
  } else {
    document.documentElement.dataset.theme = theme;
  }
  for (const button of form.querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button === event.submitter));
  }
  try {
    await fetch(form.action, { method: "POST", body: new URLSearchParams({ theme, back: "" }), redirect: "manual" });
  } catch {
    // The theme then applies to this page only.
  }
});
