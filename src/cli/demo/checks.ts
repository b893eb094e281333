/** What the restored shop must look like. SQLite alone looks at it: nothing here is Millrace's. */
import { DatabaseSync } from "node:sqlite";
import { formatCount } from "../../base/format.ts";
import { fingerprint } from "./shop.ts";

export interface Check {
  readonly ok: boolean;
  readonly text: string;
}

/** What of a restored database is known. */
export interface Books {
  readonly orders: number;
  readonly fingerprint: string;
  readonly checks: readonly Check[];
}

/** `promised` is the highest order number that was reported durable. */
export function examine(path: string, promised: number): Books {
  using db = new DatabaseSync(path, { readOnly: true });
  const number = (sql: string, ...values: number[]): number =>
    Number(db.prepare(sql).get(...values)?.["n"] ?? 0);
  const orders = number("SELECT count(*) AS n FROM orders");
  const present = number("SELECT count(*) AS n FROM orders WHERE id <= ?", promised);
  const integrity = db
    .prepare("PRAGMA integrity_check")
    .all()
    .map((row) => String(row["integrity_check"]));
  const sums = [
    number("SELECT cents AS n FROM till"),
    number("SELECT sum(total_cents) AS n FROM orders"),
    number("SELECT sum(quantity * price_cents) AS n FROM order_lines"),
    number("SELECT sum(spent_cents) AS n FROM customers"),
  ];
  const euros = formatCount(Math.round((sums[0] ?? 0) / 100));
  return {
    orders,
    fingerprint: fingerprint(db),
    checks: [
      {
        ok: present === promised,
        text: `${formatCount(present)} of the ${formatCount(promised)} orders reported durable are there`,
      },
      {
        ok: integrity.join() === "ok",
        text: `SQLite's integrity_check says ${integrity.join("; ")}`,
      },
      {
        ok: new Set(sums).size === 1,
        text: `the money adds up: till, orders, order lines and customers' accounts all say ${euros} euros`,
      },
    ],
  };
}
