// Everything works without this script. It adds a button that copies each example, and moves a slider's map along.
"use strict";
const words = document.getElementById("main").dataset;
for (const button of document.querySelectorAll("button[data-copy]")) {
  const text = document.getElementById(button.dataset.copy);
  const said = button.nextElementSibling;
  if (!navigator.clipboard || !text) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text.textContent);
      said.textContent = words.copied;
    } catch {
      said.textContent = words.failed;
    }
    setTimeout(() => { said.textContent = ""; }, 4000);
  });
}
for (const form of document.querySelectorAll("form[data-submit]")) {
  for (const slider of form.querySelectorAll("input[type=range]")) {
    slider.addEventListener("change", () => form.requestSubmit());
  }
}
