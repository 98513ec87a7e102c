// Copy buttons. Where access to the clipboard is denied, the text is selected instead.
const said = document.getElementById("copied");

function select(element) {
  const range = document.createRange();
  range.selectNodeContents(element);
  const selection = getSelection();
  selection.removeAllRanges();
  selection.addRange(range);
}

for (const button of document.querySelectorAll("[data-copy]")) {
  const label = button.querySelector("span");
  button.addEventListener("click", async () => {
    const element = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(element.textContent);
      label.textContent = "Copied";
      said.textContent = button.dataset.copy === "token" ? "The key is on the clipboard." : "The code is on the clipboard.";
    } catch {
      select(element);
      label.textContent = "Selected";
      said.textContent = "The text is selected: copy it with the keyboard.";
    }
    setTimeout(() => { label.textContent = "Copy"; }, 3000);
  });
  button.hidden = false;
}

// A browser may keep the page in its back-forward cache. The token must not be in it then.
addEventListener("pagehide", () => {
  for (const element of document.querySelectorAll("[data-token], .code code")) {
    element.textContent = "(shown once)";
  }
  document.getElementById("answer")?.replaceChildren();
});
