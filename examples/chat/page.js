'use strict';

// Older messages are removed from the page.
const MOST_LINES = 500;
const log = document.querySelector('[role=log]');
const form = document.querySelector('form');
const input = document.querySelector('input');
// The commands that make a new connection the same member again, by name.
const again = new Map();
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

function connect() {
  const url = new URL('socket', location.href);
  url.protocol = url.protocol.replace('http', 'ws');
  socket = new WebSocket(url);
  socket.onopen = () => {
    delay = 1;
    for (const line of again.values()) socket.send(line);
  };
  socket.onmessage = ({ data }) => data.split('\n').filter((line) => line).forEach(show);
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
  const command = input.value.split(' ')[0];
  if (command === '/nick' || command === '/join') again.set(command, input.value);
  input.value = '';
};

connect();
