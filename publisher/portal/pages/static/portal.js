// Everything works without this script. It adds a button that copies each example, moves a slider's map
// along, and draws the focus above the other places of a map.
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
for (const map of document.querySelectorAll("svg.places")) {
  const clear = () => { for (const old of map.querySelectorAll(".halo, .ring")) old.remove(); };
  // listened to around the picture: a picture that listens itself would take the focus in Chromium
  map.parentNode.addEventListener("focusout", clear);
  map.parentNode.addEventListener("focusin", ({target}) => {
    clear();
    const place = map.contains(target) ? target.closest("a") : null;
    if (!place || !place.matches(":focus-visible")) return;
    for (const name of ["halo", "ring"]) {
      const above = place.querySelector("path").cloneNode();
      above.setAttribute("class", name);
      map.append(above);
    }
  });
}
