// The package `ws`. Sends a text back to its sender, and binary data to everybody.
const { WebSocketServer } = require("ws");
const port = Number(process.argv[1]);
const options = { host: "127.0.0.1", port, backlog: 4096, perMessageDeflate: false };
const server = new WebSocketServer(options);
server.on("connection", (socket) => socket.on("message", (data, isBinary) => {
    if (!isBinary) return socket.send(data, { binary: false });
    for (const member of server.clients) member.send(data);
}));
