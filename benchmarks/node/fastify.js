// node fastify.js PORT ORIGIN_PORT
const path = require("path");
const modules = path.join(__dirname, "..", "node_modules");
const server = require(path.join(modules, "fastify"))({ logger: false, keepAliveTimeout: 600000, bodyLimit: 2 ** 31 });

server.register(require(path.join(modules, "@fastify", "http-proxy")), {
  upstream: `http://127.0.0.1:${process.argv[3]}`,
  undici: { connections: 256, pipelining: 1 },
});
server.listen({ host: "127.0.0.1", port: Number(process.argv[2]), backlog: 4096 });
