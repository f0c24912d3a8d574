// HAL as halson writes it, over Express: the orders are embedded, with a link of their own each, and `_links.next` leads on.
import { readFileSync, writeFileSync } from "node:fs";
import express from "express";
import halson from "halson";

const [port, orders, dump] = process.argv.slice(2);
const stock = JSON.parse(readFileSync(orders)).map(({ id, number, customer }) =>
  halson({ id, number, customer }).addLink("self", `/hal/orders/${id}`),
);
writeFileSync(dump, JSON.stringify(stock));
const app = express();
app.use((request, _, next) => {
  console.log(`${request.method} ${request.originalUrl} `);
  next();
});
app.get("/hal/orders", (request, response) => {
  const { after = 0, size = 100 } = request.query;
  const [from, to] = [Number(after), Number(after) + Number(size)];
  const page = halson({ total: stock.length }).addLink("self", request.originalUrl).addEmbed("orders", stock.slice(from, to));
  if (to < stock.length) page.addLink("next", `/hal/orders?size=${size}&after=${to}`);
  response.type("application/hal+json").send(JSON.stringify(page));
});
app.listen(Number(port), "127.0.0.1");
