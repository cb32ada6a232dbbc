"use strict";
{
  const form = document.querySelector("form");
  const input = form.elements.files;
  const list = form.querySelector("ul");
  const hint = form.querySelector("p");
  const waiting = [];
  const mostTries = 10;
  let active = false;
  let failed = false;

  const add = (files) => {
    for (const file of files) {
      const tags = ["li", "span", "progress", "output"];
      const [row, name, bar, state] = tags.map((tag) => document.createElement(tag));
      name.textContent = file.name;
      bar.value = 0;
      bar.setAttribute("aria-label", file.name);
      state.textContent = "waiting";
      row.append(name, bar, state);
      list.append(row);
      const token = crypto.getRandomValues(new Uint32Array(8)).join("-").slice(0, 64);
      waiting.push({ file, row, bar, state, token, arrived: 0, tries: 0 });
    }
    if (!active) next();
  };

  const next = () => {
    const upload = waiting.shift();
    active = upload !== undefined;
    if (!active) return failed || location.reload();
    // A folder cannot be read. Sending it would fail as if the connection were lost.
    const read = upload.file.slice(0, 1).arrayBuffer();
    read.then(() => send(upload), () => end(upload, false, "cannot be read"));
  };

  const end = ({ row, bar, state }, done, text) => {
    failed ||= !done;
    row.classList.toggle("failed", !done);
    if (done) bar.value = 1;
    state.textContent = text;
    next();
  };

  // Without a rest to send, the request asks how much has arrived.
  const send = (upload, offset = 0) => {
    const { file, bar, state } = upload;
    const { size } = file;
    const request = new XMLHttpRequest();
    request.upload.onprogress = ({ loaded, total }) => {
      if (!total) return;
      bar.value = (offset + loaded) / size;
      state.textContent = `${Math.floor(bar.value * 100)} %`;
    };
    request.onloadend = () => {
      const { status, statusText } = request;
      const arrived = request.getResponseHeader("Upload-Offset");
      if (Number(arrived) > upload.arrived) {
        upload.arrived = Number(arrived);
        upload.tries = 0;
      }
      const lost = form.dataset.resume !== undefined && (!status || status === 503);
      if ((arrived !== null || lost) && upload.tries < mostTries) {
        upload.tries += 1;
        if (arrived !== null) return send(upload, Number(arrived));
        state.textContent = "trying again";
        return setTimeout(send, Math.min(250 * 2 ** upload.tries, 8000), upload, size);
      }
      const done = status >= 200 && status < 300;
      end(upload, done, done ? "done" : status ? `${status} ${statusText}` : "could not be sent");
    };
    request.open("PUT", `./${encodeURIComponent(file.name)}`);
    request.setRequestHeader("Upload-Token", upload.token);
    if (offset) {
      const range = offset < size ? `${offset}-${size - 1}` : "*";
      request.setRequestHeader("Content-Range", `bytes ${range}/${size}`);
    }
    request.send(file.slice(offset));
  };

  form.onsubmit = (event) => {
    event.preventDefault();
    add(input.files);
    input.value = "";
  };
  document.ondragover = (event) => {
    event.preventDefault();
    form.classList.add("target");
  };
  document.ondragleave = ({ relatedTarget }) => {
    if (!relatedTarget) form.classList.remove("target");
  };
  document.ondrop = (event) => {
    event.preventDefault();
    form.classList.remove("target");
    add(event.dataTransfer.files);
  };
  hint.hidden = false;
}
