// What was typed for a choice of one's own chooses it.
for (const field of document.querySelectorAll(".own input")) {
  field.addEventListener("input", () => {
    const own = field.closest("fieldset").querySelector('input[type="radio"][value="own"]');
    own.checked = field.value !== "" || own.checked;
  });
}

// A choice that hides the field of its own clears it, so that nothing is sent that cannot be seen.
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

// The first field that is wrong is where to go on.
document.querySelector('[aria-invalid="true"]')?.focus();
