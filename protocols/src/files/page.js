"use strict";
{
  const form = document.querySelector("form");
  const input = form.elements.files;
  const list = form.querySelector("ul");
  const hint = form.querySelector("p");
  const waiting = [];
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
      waiting.push({ file, row, bar, state });
    }
    if (!active) next();
  };

  const next = () => {
    const upload = waiting.shift();
    active = upload !== undefined;
    if (active) send(upload);
    else if (!failed) location.reload();
  };

  const send = ({ file, row, bar, state }) => {
    const request = new XMLHttpRequest();
    request.upload.onprogress = ({ loaded, total }) => {
      bar.value = total ? loaded / total : 0;
      state.textContent = `${Math.floor(bar.value * 100)} %`;
    };
    request.onloadend = () => {
      const { status, statusText } = request;
      const done = status >= 200 && status < 300;
      failed ||= !done;
      row.classList.toggle("failed", !done);
      if (done) bar.value = 1;
      state.textContent = done ? "done" : status ? `${status} ${statusText}` : "could not be sent";
      next();
    };
    request.open("PUT", `./${encodeURIComponent(file.name)}`);
    request.send(file);
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
