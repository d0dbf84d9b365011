// Refreshes the status page while it is looked at and nobody is at work on it.
// The page asks for nothing by itself without this file: the link does the same.
"use strict";
(function () {
  const box = document.getElementById("auto");
  const link = document.getElementById("refresh");
  if (!box || !link) return;
  const every = 10000;
  let moved = 0;

  function read(key) { try { return sessionStorage.getItem(key); } catch { return null; } }
  function write(key, value) { try { sessionStorage.setItem(key, value); } catch { /* not kept */ } }

  // What was unfolded, and where the page stood, is so again.
  const folds = Array.from(document.querySelectorAll("details[id]"));
  const open = (read("status.open") || "").split(" ");
  folds.forEach(function (d) {
    if (open.includes(d.id)) d.open = true;
    d.addEventListener("toggle", function () {
      write("status.open", folds.filter(function (f) { return f.open; }).map(function (f) { return f.id; }).join(" "));
    });
  });

  box.checked = read("status.auto") !== "off";
  box.addEventListener("change", function () { write("status.auto", box.checked ? "on" : "off"); });
  link.addEventListener("click", function (e) {
    if (e.ctrlKey || e.metaKey || e.shiftKey || e.altKey) return;
    e.preventDefault();
    location.reload();
  });

  function busy() {
    const at = document.activeElement;
    const chosen = getSelection();
    return document.hidden || Date.now() - moved < 3000 || at && at.matches("input[type=search]") || chosen && !chosen.isCollapsed;
  }
  ["keydown", "pointerdown", "wheel", "touchmove"].forEach(function (kind) {
    addEventListener(kind, function () { moved = Date.now(); }, { passive: true });
  });
  setInterval(function () { if (box.checked && !busy()) location.reload(); }, every);
})();
