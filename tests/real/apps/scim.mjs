// SCIM 2.0 as SCIMMY serves it over Express: the orders as users, in its memory.
import { readFileSync, writeFileSync } from "node:fs";
import express from "express";
import SCIMMY from "scimmy";
import SCIMMYRouters from "scimmy-routers";

const [port, orders, dump] = process.argv.slice(2);
const stock = JSON.parse(readFileSync(orders)).map(({ id, number, customer }) => ({
  id: String(id),
  userName: number,
  displayName: customer,
}));
writeFileSync(dump, JSON.stringify(stock));
SCIMMY.Resources.declare(SCIMMY.Resources.User, {
  egress: (resource) => (resource.id ? stock.find(({ id }) => id === resource.id) : stock),
});
const app = express();
app.use((request, _, next) => {
  console.log(`${request.method} ${request.originalUrl} `);
  next();
});
app.use("/scim/v2", new SCIMMYRouters({ type: "bearer", handler: () => "reader" }));
app.listen(Number(port), "127.0.0.1");
