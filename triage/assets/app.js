// Keys and small comforts. Everything here also works without, by links and
// forms; no text of a post is ever read as markup.
"use strict";
(function () {
  const rows = Array.from(document.querySelectorAll("[data-row]"));
  const dialog = document.getElementById("keys");
  let current = -1;
  // Keys typed while the next page comes are meant for it, not for this one.
  let leaving = false;
  addEventListener("pageshow", function () { leaving = false; });

  function select(i, scroll) {
    if (!rows.length) return;
    i = Math.max(0, Math.min(rows.length - 1, i));
    if (current >= 0) rows[current].classList.remove("current");
    current = i;
    rows[i].classList.add("current");
    rows[i].focus({ preventScroll: true });
    if (scroll) rows[i].scrollIntoView({ block: "nearest" });
  }

  // decide acts on the record of this page, or on the chosen row. With no row
  // chosen the key only shows the first one: nobody has looked at it yet.
  function decide(act) {
    if (form) return act(form);
    if (current >= 0) return act(rows[current]);
    select(0, true);
    return rows.length > 0;
  }

  // press sends the form by its own button, so that the server sees the same
  // request as from a click.
  function press(scope, status) {
    const button = scope && scope.querySelector('button[name="status"][value="' + status + '"]');
    if (!button) return false;
    button.click();
    return true;
  }

  function askWhy(scope) {
    const why = scope.querySelector("details.why");
    const choice = why ? why.querySelector("select") : scope.querySelector("#reason");
    if (why) why.open = true;
    if (!choice) return false;
    choice.focus();
    return true;
  }

  function closeAll() {
    document.querySelectorAll("details.why[open]").forEach(function (d) { d.open = false; });
    if (current >= 0) rows[current].focus({ preventScroll: true });
  }

  const form = document.getElementById("triage");
  const actions = {
    j: function () { select(current + 1, true); return rows.length > 0; },
    k: function () { select(current - 1, true); return rows.length > 0; },
    c: function () { return decide(function (scope) { return press(scope, "confirmed"); }); },
    r: function () { return decide(function (scope) { return press(scope, "reviewing"); }); },
    x: function () { return decide(askWhy); },
    u: function () { document.getElementById("undo").requestSubmit(); return true; },
    "/": function () {
      const box = document.getElementById("q");
      if (!box) {
        leaving = true;
        location.assign("/?focus=q");
        return true;
      }
      box.focus();
      box.select();
      return true;
    },
    "?": function () { if (dialog.open) dialog.close(); else dialog.showModal(); return true; },
    Enter: function () {
      if (current < 0 || document.activeElement !== rows[current]) return false;
      rows[current].querySelector("a.open").click();
      return true;
    },
    " ": function () {
      if (current < 0 || document.activeElement !== rows[current]) return false;
      rows[current].querySelector('input[name="sel"]').click();
      return true;
    },
  };

  document.addEventListener("keydown", function (e) {
    if (e.ctrlKey || e.metaKey || e.altKey || e.isComposing || e.defaultPrevented) return;
    const typing = e.target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]");
    if (e.key === "Escape") {
      if (typing) typing.blur();
      closeAll();
      return;
    }
    if (typing) {
      if (e.key === "Enter" && typing.matches("details.why select")) {
        e.preventDefault();
        press(typing.closest("form"), "dismissed");
      }
      return;
    }
    if (leaving) {
      e.preventDefault();
      return;
    }
    if (dialog.open && e.key !== "?") return;
    const action = Object.hasOwn(actions, e.key) ? actions[e.key] : null;
    if (action && action()) e.preventDefault();
  });

  rows.forEach(function (row, i) {
    row.addEventListener("focusin", function () {
      if (current === i) return;
      if (current >= 0) rows[current].classList.remove("current");
      current = i;
      row.classList.add("current");
    });
  });
  // A decision on one row leads back to its place: the next record stands there.
  const place = /^#n(\d{1,3})$/.exec(location.hash);
  if (place && rows.length) select(Number(place[1]), true);
  else if (new URLSearchParams(location.search).get("focus") === "q") actions["/"]();

  document.addEventListener("click", function (e) {
    document.querySelectorAll("details.why[open]").forEach(function (d) {
      if (!d.contains(e.target)) d.open = false;
    });
  });

  // Selection: how many are ticked, and all of the page at once.
  const boxes = Array.from(document.querySelectorAll('input[name="sel"][type="checkbox"]'));
  const all = document.getElementById("pick-all");
  const picked = document.getElementById("picked");
  document.querySelectorAll("[data-js]").forEach(function (el) { el.hidden = false; });
  function count() {
    const n = boxes.filter(function (b) { return b.checked; }).length;
    if (picked) picked.textContent = n ? " (" + n + ")" : "";
    if (all) {
      all.checked = n > 0 && n === boxes.length;
      all.indeterminate = n > 0 && n < boxes.length;
    }
  }
  boxes.forEach(function (b) { b.addEventListener("change", count); });
  if (all) all.addEventListener("change", function () {
    boxes.forEach(function (b) { b.checked = all.checked; });
    count();
  });
  if (boxes.length) count();

  // Reasons and the characters they speak of light up together.
  const marks = Array.from(document.querySelectorAll("mark[data-r]"));
  function light(numbers, on) {
    marks.forEach(function (m) {
      const hit = m.dataset.r.split(" ").some(function (n) { return numbers.includes(n); });
      m.classList.toggle("lit", on && hit);
    });
    document.querySelectorAll("tr[data-reason]").forEach(function (tr) {
      tr.classList.toggle("lit", on && numbers.includes(tr.dataset.reason));
    });
  }
  document.querySelectorAll("tr[data-reason]").forEach(function (tr) {
    tr.addEventListener("mouseenter", function () { light([tr.dataset.reason], true); });
    tr.addEventListener("mouseleave", function () { light([], false); });
  });
  marks.forEach(function (m) {
    m.addEventListener("mouseenter", function () { light(m.dataset.r.split(" "), true); });
    m.addEventListener("mouseleave", function () { light([], false); });
  });

  // On a narrow screen the filters start folded.
  const facets = document.getElementById("facets");
  if (facets && matchMedia("(max-width: 860px)").matches) facets.open = false;
})();
