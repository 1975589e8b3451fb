// node http_proxy.js PORT ORIGIN_PORT
const http = require("http");
const path = require("path");
const httpProxy = require(path.join(__dirname, "..", "node_modules", "http-proxy"));

const agent = new http.Agent({ keepAlive: true, maxSockets: 256 });
const proxy = httpProxy.createProxyServer({ target: `http://127.0.0.1:${process.argv[3]}`, agent, xfwd: true });
proxy.on("error", (fault, request, response) => {
  if (response.writeHead && !response.headersSent) response.writeHead(502);
  response.end();
});
const server = http.createServer((request, response) => proxy.web(request, response));
server.keepAliveTimeout = 600000;
server.listen({ host: "127.0.0.1", port: Number(process.argv[2]), backlog: 4096 });
