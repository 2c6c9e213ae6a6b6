// Ctrl+K: the search as a dialog over the page. Without this file the field in the menu does the same.
"use strict";

const searchDialog = document.getElementById("search");
const SINGLE_KEYS_OFF = "saldo.single-keys-off";

function searchWhileTyping(dialog) {
  const form = dialog.querySelector("form[role=search]");
  const field = form.querySelector("input[type=search]");
  const found = dialog.querySelector("[data-search-found]");
  const shortcuts = dialog.querySelector("[data-shortcuts]");
  const singleKeys = dialog.querySelector("[data-single-keys]");
  let asked = 0;
  let timer = 0;

  const links = () => Array.from(found.querySelectorAll("a"));

  async function look() {
    const number = ++asked;
    const text = field.value.trim();
    if (text.length < 2) return found.replaceChildren();
    try {
      const answer = await fetch(`${form.action}?all=1&q=${encodeURIComponent(text)}`, { redirect: "manual" });
      if (number !== asked || !answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("found");
      if (fresh) found.replaceChildren(...fresh.childNodes);
    } catch {
      found.replaceChildren(); // Enter still asks the server, and says what is wrong
    }
  }

  function open(withShortcuts) {
    if (!dialog.open) dialog.showModal();
    shortcuts.open = withShortcuts;
    field.focus();
    field.select();
  }

  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, 150);
  });

  dialog.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const stops = [field, ...links()];
    const here = stops.indexOf(document.activeElement);
    if (here < 0) return;
    event.preventDefault();
    stops[(here + (event.key === "ArrowDown" ? 1 : stops.length - 1)) % stops.length].focus();
  });

  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // beside it
  });

  singleKeys.checked = localStorage.getItem(SINGLE_KEYS_OFF) !== "1";
  singleKeys.addEventListener("change", () =>
    singleKeys.checked ? localStorage.removeItem(SINGLE_KEYS_OFF) : localStorage.setItem(SINGLE_KEYS_OFF, "1"),
  );

  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      return open(false);
    }
    const isTyping = event.target.closest("input, textarea, select, [contenteditable]");
    if (isTyping || dialog.open || event.ctrlKey || event.metaKey || event.altKey || !singleKeys.checked) return;
    if (event.key === "/" || event.key === "?") {
      event.preventDefault();
      open(event.key === "?");
    }
  });
}

if (searchDialog) searchWhileTyping(searchDialog);
