// The page's own script. Every page works without it; with it, it is smoother.
const root = document.documentElement;
root.classList.add("js");
const csrf = document.querySelector("meta[name=csrf]")?.content ?? "";
const live = document.querySelector("#live");
const say = (text) => { if (live && text) live.textContent = text; };

// ---- upload: the raw file, with a bar -----------------------------------------------------------
const upload = document.querySelector("form.upload");
let leaving = true;
if (upload) {
  const file = upload.querySelector("input[type=file]");
  const bar = upload.querySelector("progress");
  const failed = upload.querySelector(".failed");
  const drop = upload.querySelector(".drop");
  for (const kind of ["dragover", "dragleave", "drop"]) {
    drop.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", kind === "dragover");
      if (kind === "drop" && event.dataTransfer.files.length) file.files = event.dataTransfer.files;
    });
  }
  upload.addEventListener("submit", (event) => {
    if (!file.files.length) return;
    event.preventDefault();
    const request = new XMLHttpRequest();
    const button = upload.querySelector("button");
    const fail = (text) => {
      leaving = true;
      button.disabled = false;
      bar.parentElement.hidden = true;
      failed.textContent = text || failed.dataset.text;
      failed.hidden = false;
    };
    request.open("PUT", upload.dataset.put);
    request.setRequestHeader("X-CSRF", csrf);
    request.setRequestHeader("X-File-Name", encodeURIComponent(file.files[0].name));
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", (step) => {
      if (step.lengthComputable) bar.value = (100 * step.loaded) / step.total;
    });
    request.addEventListener("error", () => fail(""));
    request.addEventListener("load", () => {
      if (request.status !== 201) {
        fail(request.responseText.length < 400 ? request.responseText : "");
        return;
      }
      leaving = true;
      file.disabled = true;
      upload.submit();
    });
    leaving = false;
    failed.hidden = true;
    button.disabled = true;
    bar.parentElement.hidden = false;
    request.send(file.files[0]);
  });
}
addEventListener("beforeunload", (event) => { if (!leaving) event.preventDefault(); });

// ---- a part of the page that is asked for again and again -----------------------------------------
for (const part of document.querySelectorAll("[data-poll]")) {
  let etag = "";
  const poll = async () => {
    let wait = document.hidden ? 15000 : Number(part.dataset.every || 1500);
    try {
      const answer = await fetch(part.dataset.poll, { headers: { "If-None-Match": etag } });
      if (answer.headers.get("x-reload")) { location.reload(); return; }
      if (answer.status === 200) {
        etag = answer.headers.get("etag") ?? "";
        part.innerHTML = await answer.text();
      } else if (answer.status !== 304) wait = 15000;
    } catch { wait = 15000; }
    setTimeout(poll, wait);
  };
  setTimeout(poll, 800);
}

// ---- correct a cell without leaving the table -----------------------------------------------------
const table = document.querySelector("table.fix");
const inputs = () => [...table.querySelectorAll("input[type=text], td select")];
async function send(form, focus, button) {
  const row = form.closest("tbody");
  const old = row.querySelector("[data-busy]");
  if (old) return;
  form.dataset.busy = "1";
  try {
    const answer = await fetch(form.getAttribute("action"), {
      method: "POST",
      headers: { "X-CSRF": csrf, Accept: "application/json" },
      body: new URLSearchParams(new FormData(form, button)),
    });
    if (!answer.ok && answer.status !== 409) throw new Error(await answer.text());
    const found = await answer.json();
    const had = row.contains(document.activeElement) ? document.activeElement.id : null;
    const place = inputs().findIndex((each) => row.contains(each));
    const fresh = document.createElement("template");
    fresh.innerHTML = `<table>${found.row}</table>`;
    row.replaceWith(fresh.content.querySelector("tbody"));
    const title = document.querySelector("#left");
    if (title) title.textContent = found.left;
    say(found.said);
    if (had !== null || document.activeElement === document.body) {
      const all = inputs();
      const next = all[Math.min(Math.max(place, 0), all.length - 1)];
      (document.getElementById(had || focus) ?? next)?.focus();
    }
  } catch (error) {
    delete form.dataset.busy;
    say(error.message.length < 300 ? error.message : "");
    form.submit();
  }
}
if (table) {
  table.addEventListener("change", (event) => {
    const form = event.target.closest("form.cell");
    if (!form) return;
    send(form, event.target.id);
  });
  table.addEventListener("keydown", (event) => {
    if (event.target.tagName !== "INPUT") return;
    const step = { Enter: event.shiftKey ? -1 : 1, ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const all = inputs();
    const next = all[all.indexOf(event.target) + step];
    if (next) { next.focus(); next.select?.(); } else event.target.blur();
  });
  table.addEventListener("submit", (event) => {
    if (!event.target.matches("form.cell, form.row")) return;
    event.preventDefault();
    send(event.target, event.target.closest("tbody").id + "-act", event.submitter);
  });
}

// ---- one click is enough --------------------------------------------------------------------------
for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", () => {
    setTimeout(() => { for (const each of form.querySelectorAll("button")) each.disabled = true; });
  });
}
document.querySelector("[autofocus], .summary")?.focus({ preventScroll: true });
