// Input in the field of the custom option selects that option.
for (const field of document.querySelectorAll(".own input")) {
  field.addEventListener("input", () => {
    const own = field.closest("fieldset").querySelector('input[type="radio"][value="own"]');
    own.checked = field.value !== "" || own.checked;
  });
}

// Selecting another option clears the hidden field of the custom option, so that no invisible value is submitted.
for (const radio of document.querySelectorAll(".chips input")) {
  radio.addEventListener("change", () => {
    for (const field of radio.closest("fieldset").querySelectorAll(".own input")) {
      if (radio.value === "own") {
        field.focus();
      } else {
        field.value = "";
      }
    }
  });
}

// The first invalid field gets the focus.
document.querySelector('[aria-invalid="true"]')?.focus();

// A source that is entered and that DocsGPT does not list is named before the form is sent.
const typed = document.getElementById("sources");
const unlisted = document.getElementById("unlisted");
const warnedOf = document.getElementById("unknown_sources");
const listed = new Set([...document.querySelectorAll('[name="source"]')].map((box) => box.value.toLowerCase()));
typed?.addEventListener("input", () => {
  const ids = typed.value.split("\n").map((id) => id.trim()).filter(Boolean);
  const unknown = listed.size === 0 ? [] : ids.filter((id) => !listed.has(id.toLowerCase()));
  unlisted.hidden = unknown.length === 0;
  warnedOf.value = unknown.join("\n"); // the user has seen the warning, so the console need not ask again
});
