// What the console does beyond plain pages: keep lists up to date, copy an address, open the menu on a phone.
// Without this file every page still works.
"use strict";

document.documentElement.classList.add("has-script");

const NEWS_MS = 10000; // a screen reader is told of changes at most this often
const SLOWEST_MS = 60000; // a server in trouble is asked ever less often, down to this
const FIRST_PAUSE_MS = 5000;

// What htmx asks for by itself stands on the region (template tag `live`); this says when it does not, what of the
// answer is put in, and what people hear of it. The region is another element after each swap: it is known by its id.
function keepUpToDate() {
  const status = document.querySelector("[data-live-status]");
  const words = document.querySelector("[data-live-words]");
  const toggle = document.querySelector("[data-live-toggle]");
  const news = document.querySelector("[data-live-news]");
  let isPaused = false;
  let pauseMs = 0; // after a failure, longer each time
  let nextLook = 0;
  let lastNews = 0;
  let known = null; // the rows before a swap
  const seen = new Map(); // what each region was given last, by its id

  const isLive = (element) => element instanceof Element && element.matches("[data-live]");
  const rowsOf = (region) => Array.from(region.querySelectorAll("[data-row]"));
  // the token of a form is another one at each look
  const content = (region) => region.innerHTML.replace(/(name="csrfmiddlewaretoken" value=")[^"]*/g, "$1");

  function show(state) {
    if (!status) return;
    status.classList.toggle("is-paused", state === "paused");
    status.classList.toggle("is-offline", state === "offline");
    if (words.textContent !== words.dataset[state]) words.textContent = words.dataset[state];
    toggle.textContent = state === "paused" ? toggle.dataset.resume : toggle.dataset.pause;
  }

  function isInUse(region) {
    const selection = document.getSelection();
    return (
      region.contains(document.activeElement) ||
      (selection && !selection.isCollapsed && region.contains(selection.anchorNode)) ||
      region.querySelector("details[open]") !== null
    );
  }

  function tell(count) {
    if (!news || Date.now() - lastNews < NEWS_MS) return;
    lastNews = Date.now();
    news.textContent = count === 1 ? news.dataset.one : news.dataset.many.replace("NN", count);
  }

  function slower() {
    pauseMs = Math.min(Math.max(pauseMs * 2, FIRST_PAUSE_MS), SLOWEST_MS);
    nextLook = Date.now() + pauseMs;
    show(isPaused ? "paused" : "offline");
  }

  document.body.addEventListener("htmx:beforeRequest", (event) => {
    if (!isLive(event.detail.elt)) return;
    const mayLook = !isPaused && !document.hidden && Date.now() >= nextLook && !isInUse(event.detail.elt);
    if (!mayLook) event.preventDefault();
  });

  document.body.addEventListener("htmx:beforeSwap", (event) => {
    const { target: region, xhr } = event.detail;
    if (!isLive(region)) return;
    const fresh = new DOMParser().parseFromString(xhr.responseText, "text/html").getElementById(region.id);
    if (xhr.status === 200 && !fresh) {
      location.reload(); // signed out meanwhile, or the page has become another one
      event.detail.shouldSwap = false;
    } else if (fresh && (isPaused || isInUse(region) || content(fresh) === seen.get(region.id))) {
      event.detail.shouldSwap = false;
    } else if (fresh) {
      seen.set(region.id, content(fresh));
      known = new Set(rowsOf(region).map((row) => row.dataset.row));
    }
  });

  document.body.addEventListener("htmx:load", (event) => {
    const region = event.detail.elt;
    if (!isLive(region) || !known) return;
    const arrived = rowsOf(region).filter((row) => !known.has(row.dataset.row));
    if (known.size) arrived.forEach((row) => row.classList.add("is-new"));
    if (arrived.length) tell(arrived.length);
    known = null;
  });

  document.body.addEventListener("htmx:afterRequest", (event) => {
    if (!isLive(event.detail.target) || !event.detail.successful) return;
    pauseMs = nextLook = 0;
    show(isPaused ? "paused" : "on");
  });
  ["htmx:sendError", "htmx:responseError", "htmx:timeout"].forEach((name) =>
    document.body.addEventListener(name, (event) => isLive(event.detail.target) && slower()),
  );

  document.querySelectorAll("[data-live]").forEach((region) => seen.set(region.id, content(region)));
  const look = () => document.querySelectorAll("[data-live]").forEach((region) => htmx.trigger(region, "look"));
  document.addEventListener("visibilitychange", look);
  if (status) {
    status.classList.add("is-ready");
    toggle.addEventListener("click", () => {
      isPaused = !isPaused;
      show(isPaused ? "paused" : "on");
      look();
    });
  }
}

function copyOnClick(button) {
  const source = document.getElementById(button.dataset.copy);
  const words = button.querySelector("[data-copy-words]");
  const before = words.textContent;
  button.addEventListener("click", async () => {
    source.select();
    try {
      await navigator.clipboard.writeText(source.value);
    } catch {
      document.execCommand("copy"); // plain http has no clipboard API
    }
    words.textContent = button.dataset.done;
    setTimeout(() => (words.textContent = before), 2000);
  });
}

function openOnClick(link) {
  const menu = document.getElementById(link.getAttribute("aria-controls"));
  link.setAttribute("role", "button");
  link.setAttribute("aria-expanded", "false");
  link.addEventListener("click", (event) => {
    event.preventDefault();
    link.setAttribute("aria-expanded", String(menu.classList.toggle("is-open")));
  });
  link.addEventListener("keydown", (event) => {
    if (event.key === " ") {
      event.preventDefault();
      link.click();
    }
  });
}

if (window.htmx && document.querySelector("[data-live]")) keepUpToDate();
document.querySelectorAll("[data-copy]").forEach(copyOnClick);
document.querySelectorAll("[data-menu]").forEach(openOnClick);
