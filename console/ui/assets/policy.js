// Presets and the preview of a policy, without sending the form: a pasted key in it would be lost.
const part = document.querySelector(".policy");
const form = part?.closest("form");
const preview = document.getElementById("preview");

function fill(values) {
  for (const [name, value] of Object.entries(values)) {
    if (name === "endpoints") {
      const selected = value.split("\n");
      for (const box of part.querySelectorAll('[name="endpoint"]')) {
        box.checked = selected.includes(box.value);
      }
    } else {
      form.elements[name].value = value; // also selects one of several radio buttons
    }
    const field = form.elements[name];
    if (value !== "" && field instanceof HTMLElement) {
      field.closest("details")?.setAttribute("open", "");
    }
  }
  preview.textContent = "";
}

async function check() {
  const address = new URL("preview", new URL(document.querySelector(".brand").href));
  try {
    const response = await fetch(address, { method: "POST", body: policyOf(form) });
    if (!response.ok || response.redirected) {
      throw new Error(response.status);
    }
    preview.textContent = await response.text();
  } catch {
    preview.textContent = "The console could not be reached.";
  }
}

// The fields of the policy only.
function policyOf(all) {
  const names = /^(kind|origins|ips|endpoint|limit_\w+|preview_origin)$/;
  return new URLSearchParams([...new FormData(all)].filter(([name]) => names.test(name)));
}

for (const button of part?.querySelectorAll("[data-preset]") ?? []) {
  button.addEventListener("click", (event) => {
    event.preventDefault();
    fill(JSON.parse(button.dataset.preset));
  });
}
part?.querySelector('[value="preview"]').addEventListener("click", (event) => {
  event.preventDefault();
  check();
});
document.getElementById("preview_origin")?.addEventListener("keydown", (event) => {
  if (event.key === "Enter") {
    event.preventDefault(); // would send the form
    check();
  }
});
