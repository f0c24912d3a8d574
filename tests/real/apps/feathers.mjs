// Feathers over the orders in its memory: `$limit` and `$skip`, clamped to 500.
import { readFileSync, writeFileSync } from "node:fs";
import express, { json, rest, urlencoded } from "@feathersjs/express";
import { feathers } from "@feathersjs/feathers";
import { memory } from "@feathersjs/memory";

const [port, orders, dump] = process.argv.slice(2);
const stock = JSON.parse(readFileSync(orders)).map((order) => ({ ...order, serial: String(order.serial) }));
writeFileSync(dump, JSON.stringify(stock));
const app = express(feathers());
app.use((request, _, next) => {
  console.log(`${request.method} ${request.originalUrl} `);
  next();
});
app.use(json());
app.use(urlencoded({ extended: true }));
app.configure(rest());
app.use(
  "orders",
  memory({
    store: Object.fromEntries(stock.map((order) => [order.id, order])),
    startId: stock.length + 1,
    paginate: { default: 100, max: 500 },
  }),
);
app.listen(Number(port), "127.0.0.1");
