// OData 4 as simple-odata-server serves it from NeDB: `$top`, `$skip` and `$count`.
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import Datastore from "nedb";
import ODataServer from "simple-odata-server";
import Adapter from "simple-odata-server-nedb";

const [port, orders, dump] = process.argv.slice(2);
const stock = JSON.parse(readFileSync(orders)).map(({ id, number, customer, cents }) => ({
  _id: String(id).padStart(6, "0"),
  number,
  customer,
  cents,
}));
writeFileSync(dump, JSON.stringify(stock));
const store = new Datastore({ inMemoryOnly: true });
store.insert(stock);
const [text, number] = [{ type: "Edm.String" }, { type: "Edm.Int64" }];
const server = ODataServer(`http://127.0.0.1:${port}`)
  .model({
    namespace: "shop",
    entityTypes: { Order: { _id: { ...text, key: true }, number: text, customer: text, cents: number } },
    entitySets: { orders: { entityType: "shop.Order" } },
  })
  .adapter(Adapter((_, done) => done(null, store)));
createServer((request, response) => {
  console.log(`${request.method} ${request.url} `);
  server.handle(request, response);
}).listen(Number(port), "127.0.0.1");
