// What the console does beyond plain pages: keep lists up to date, copy an address, open the menu on a phone.
// Without this file every page still works.
"use strict";

document.documentElement.classList.add("has-script");

const POLL_MS = 5000;
const NEWS_MS = 10000; // a screen reader is told of changes at most this often
const SLOWEST_MS = 60000; // a server in trouble is asked ever less often, down to this

function content(region) {
  // the token of a form is another one at each look
  return region.innerHTML.replace(/(name="csrfmiddlewaretoken" value=")[^"]*/g, "$1");
}

function keepUpToDate(region) {
  const status = document.querySelector("[data-live-status]");
  const words = document.querySelector("[data-live-words]");
  const toggle = document.querySelector("[data-live-toggle]");
  const news = document.querySelector("[data-live-news]");
  // what is under way is looked at more often, as long as the region says so
  const pollMs = () => Number(region.querySelector("[data-poll-ms]")?.dataset.pollMs) || POLL_MS;
  let isPaused = false;
  let pause = pollMs();
  let timer = 0;
  let lastNews = 0;
  let seen = content(region);

  function show(state) {
    if (!status) return;
    status.classList.toggle("is-paused", state === "paused");
    status.classList.toggle("is-offline", state === "offline");
    words.textContent = words.dataset[state];
    toggle.textContent = state === "paused" ? toggle.dataset.resume : toggle.dataset.pause;
  }

  function isInUse() {
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

  function replace(fresh) {
    const known = new Set(Array.from(region.querySelectorAll("[data-row]"), (row) => row.dataset.row));
    const hadRows = known.size > 0;
    region.replaceChildren(...fresh.childNodes);
    const arrived = Array.from(region.querySelectorAll("[data-row]")).filter((row) => !known.has(row.dataset.row));
    if (!arrived.length) return;
    if (hadRows) arrived.forEach((row) => row.classList.add("is-new"));
    tell(arrived.length);
  }

  async function look() {
    try {
      const answer = await fetch(location.href, { headers: { "X-Requested-With": "fetch" }, redirect: "manual" });
      if (answer.type === "opaqueredirect") return location.reload(); // signed out meanwhile
      if (!answer.ok) throw new Error(String(answer.status));
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(region.id);
      if (fresh && content(fresh) !== seen && !isInUse()) {
        seen = content(fresh);
        replace(fresh);
      }
      pause = pollMs();
      show(isPaused ? "paused" : "on");
    } catch {
      pause = Math.min(pause * 2, SLOWEST_MS);
      show("offline");
    }
  }

  async function tick() {
    clearTimeout(timer);
    if (isPaused || document.hidden) return;
    await look();
    timer = setTimeout(tick, pause);
  }

  if (status) {
    status.classList.add("is-ready");
    toggle.addEventListener("click", () => {
      isPaused = !isPaused;
      show(isPaused ? "paused" : "on");
      tick();
    });
  }
  document.addEventListener("visibilitychange", tick);
  timer = setTimeout(tick, pause);
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

document.querySelectorAll("[data-live]").forEach(keepUpToDate);
document.querySelectorAll("[data-copy]").forEach(copyOnClick);
document.querySelectorAll("[data-menu]").forEach(openOnClick);
