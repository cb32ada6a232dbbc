'use strict';

// Older messages are removed from the page.
const MOST_LINES = 500;
const log = document.querySelector('[role=log]');
const form = document.querySelector('form');
const input = document.querySelector('input');
// The name on this connection.
let own;
// The name and room that the server has confirmed. A new connection asks for them again.
const chosen = {};
let socket;
let delay = 1;

function show(line) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 50;
  const row = log.appendChild(document.createElement('p'));
  const colon = line.indexOf(': ');
  if (line.startsWith('* ') || colon < 0) {
    row.className = 'notice';
    row.textContent = line.replace('* ', '');
  } else {
    row.appendChild(document.createElement('b')).textContent = line.slice(0, colon);
    row.append(' ' + line.slice(colon + 2));
  }
  if (log.childElementCount > MOST_LINES) log.firstChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

// Only notices begin with a star. The first one that names a room is about where everybody starts.
function note(line) {
  const entered = /^\* you are (\S+) in (\S+);/.exec(line);
  if (entered) {
    if (own) chosen.room = entered[2];
    own = entered[1];
  } else if (own && line.startsWith(`* ${own} is now `)) {
    own = chosen.name = line.split(' ').pop();
  }
}

function connect() {
  const url = new URL('socket', location.href);
  url.protocol = url.protocol.replace('http', 'ws');
  socket = new WebSocket(url);
  socket.onopen = () => {
    delay = 1;
    own = undefined;
    if (chosen.name) socket.send(`/nick ${chosen.name}`);
    if (chosen.room) socket.send(`/join ${chosen.room}`);
  };
  socket.onmessage = ({ data }) => {
    for (const line of data.split('\n').filter((line) => line)) {
      note(line);
      show(line);
    }
  };
  socket.onclose = () => {
    show(`* not connected; trying again in ${delay} s`);
    setTimeout(connect, delay * 1000);
    delay = Math.min(delay * 2, 60);
  };
}

form.onsubmit = (event) => {
  event.preventDefault();
  if (socket.readyState !== WebSocket.OPEN) return;
  socket.send(input.value);
  input.value = '';
};

connect();
