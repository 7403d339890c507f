// Two conveniences: parts of a page that change are reloaded, and keys move through rows. Every page works without them.
"use strict";

function poll(part) {
  const wait = 1000;
  async function again() {
    if (document.hidden) {
      return setTimeout(again, wait);
    }
    try {
      const answer = await fetch(part.dataset.poll, { headers: { accept: "text/html" } });
      if (answer.redirected || !answer.ok) {
        return location.reload();
      }
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").body;
      // An unchanged part stays untouched, so that it keeps the focus.
      if (fresh.innerHTML.trim() !== part.dataset.shown) {
        const focused = part.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
        part.dataset.shown = fresh.innerHTML.trim();
        part.replaceChildren(...fresh.childNodes);
        if (focused) {
          links(part).find((link) => link.getAttribute("href") === focused)?.focus();
        }
      }
      if (part.querySelector("[data-ended]")) {
        return location.reload();
      }
    } catch {
      // The server may be restarting.
    }
    setTimeout(again, wait);
  }
  setTimeout(again, wait);
}

function links(within) {
  return [...within.querySelectorAll("a.open")];
}

function move(step) {
  const all = links(document);
  if (all.length === 0) {
    return;
  }
  const row = document.activeElement?.closest("tr, li");
  const at = row ? all.findIndex((link) => row.contains(link)) : -1;
  const next = at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + step, 0), all.length - 1);
  all[next].focus();
  all[next].scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) {
    return;
  }
  if (event.target.closest("input, select, textarea")) {
    if (event.key === "Escape") {
      event.target.blur();
    }
    return;
  }
  const search = document.querySelector("input[type=search]");
  if (event.key === "/" && search) {
    event.preventDefault();
    search.focus();
    search.select();
  } else if (event.key === "j") {
    move(1);
  } else if (event.key === "k") {
    move(-1);
  }
});

document.querySelectorAll("[data-poll]").forEach(poll);
