/**
 * A small shop: an ordinary Node.js program with a SQLite database in WAL mode. It knows nothing of Millrace and shares
 * no code with it. It sells as fast as its pause between two orders allows, and answers its parent's questions.
 *
 * Usage: node shop.js DATABASE SEED
 */
import { createHash } from "node:crypto";
import { DatabaseSync } from "node:sqlite";

export type ShopQuestion = "sold" | "close" | "open";

/** The last order that is committed, and how the shop's own commits went. */
export interface ShopAnswer {
  readonly lastOrder: number;
  readonly commits: number;
  /** Median time of a commit, milliseconds. */
  readonly commitMs: number;
  /** While closed: a hash over every row. */
  readonly fingerprint?: string | undefined;
}

const CUSTOMERS = 200;
const ARTICLES = 100;
const STOCK_EACH = 1_000_000;
const PAUSE_MS = 2;
const SAMPLES = 2000;

const SCHEMA = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = NORMAL;
  CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, spent_cents INTEGER NOT NULL);
  CREATE TABLE articles (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price_cents INTEGER NOT NULL,
    stock INTEGER NOT NULL);
  CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, customer INTEGER NOT NULL REFERENCES customers,
    total_cents INTEGER NOT NULL, note TEXT NOT NULL);
  CREATE TABLE order_lines (order_id INTEGER NOT NULL REFERENCES orders, article INTEGER NOT NULL,
    quantity INTEGER NOT NULL, price_cents INTEGER NOT NULL);
  CREATE INDEX lines_by_order ON order_lines (order_id);
  CREATE TABLE till (id INTEGER PRIMARY KEY CHECK (id = 1), cents INTEGER NOT NULL);
  INSERT INTO till VALUES (1, 0);
`;

class Shop {
  readonly #db: DatabaseSync;
  #seed: number;
  #isOpen = true;
  #commits = 0;
  #lastOrder = 0;
  #commitMs: number[] = [];

  constructor(path: string, seed: number) {
    // As every program that shares its database with another should: wait for locks.
    this.#db = new DatabaseSync(path, { timeout: 5000 });
    this.#seed = seed;
  }

  furnish(): void {
    this.#db.exec(SCHEMA);
    this.#db.exec("BEGIN");
    const customer = this.#db.prepare("INSERT INTO customers VALUES (?, ?, 0)");
    for (let id = 1; id <= CUSTOMERS; id += 1) customer.run(id, `Customer ${id}`);
    const article = this.#db.prepare("INSERT INTO articles VALUES (?, ?, ?, ?)");
    for (let id = 1; id <= ARTICLES; id += 1)
      article.run(id, `Article ${id}`, 99 + this.#pick(9900), STOCK_EACH);
    this.#db.exec("COMMIT");
  }

  /** The same numbers for the same seed. */
  #pick(below: number): number {
    this.#seed = (Math.imul(this.#seed, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#seed / 2 ** 32) * below);
  }

  /** One order, one transaction: lines, stock, the customer's account and the till move together. */
  sell(): void {
    const started = performance.now();
    const db = this.#db;
    db.exec("BEGIN IMMEDIATE");
    const customer = 1 + this.#pick(CUSTOMERS);
    const note = "x".repeat(this.#pick(200));
    const { lastInsertRowid } = db
      .prepare("INSERT INTO orders (customer, total_cents, note) VALUES (?, 0, ?)")
      .run(customer, note);
    let total = 0;
    for (let lines = 1 + this.#pick(4); lines > 0; lines -= 1) {
      const article = 1 + this.#pick(ARTICLES);
      const quantity = 1 + this.#pick(5);
      const row = db.prepare("SELECT price_cents FROM articles WHERE id = ?").get(article);
      const price = Number(row?.["price_cents"]);
      db.prepare("INSERT INTO order_lines VALUES (?, ?, ?, ?)").run(
        lastInsertRowid,
        article,
        quantity,
        price,
      );
      db.prepare("UPDATE articles SET stock = stock - ? WHERE id = ?").run(quantity, article);
      total += quantity * price;
    }
    db.prepare("UPDATE orders SET total_cents = ? WHERE id = ?").run(total, lastInsertRowid);
    db.prepare("UPDATE customers SET spent_cents = spent_cents + ? WHERE id = ?").run(
      total,
      customer,
    );
    db.prepare("UPDATE till SET cents = cents + ?").run(total);
    db.exec("COMMIT");
    this.#lastOrder = Number(lastInsertRowid);
    this.#commits += 1;
    this.#commitMs.push(performance.now() - started);
    if (this.#commitMs.length > SAMPLES) this.#commitMs.shift();
  }

  trade(): void {
    if (this.#isOpen) this.sell();
    setTimeout(() => this.trade(), PAUSE_MS);
  }

  answer(question: ShopQuestion): ShopAnswer {
    if (question === "close") this.#isOpen = false;
    if (question === "open") this.#isOpen = true;
    const sorted = this.#commitMs.toSorted((a, b) => a - b);
    return {
      lastOrder: this.#lastOrder,
      commits: this.#commits,
      commitMs: sorted[Math.floor(sorted.length / 2)] ?? 0,
      fingerprint: question === "close" ? fingerprint(this.#db) : undefined,
    };
  }
}

/** A hash over every row of every table. */
export function fingerprint(db: DatabaseSync): string {
  const hash = createHash("sha256");
  const names = db
    .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    .all();
  for (const { name } of names) {
    const rows = db
      .prepare(`SELECT rowid AS place, * FROM "${String(name)}" ORDER BY rowid`)
      .iterate();
    for (const row of rows) hash.update(JSON.stringify(row));
  }
  return hash.digest("hex");
}

if (import.meta.main) {
  const [path = "", seed = "1"] = process.argv.slice(2);
  const shop = new Shop(path, Number(seed));
  shop.furnish();
  process.on("message", (question: ShopQuestion) => process.send?.(shop.answer(question)));
  // Without its parent the shop has nobody to sell for.
  process.on("disconnect", () => process.exit());
  shop.trade();
  process.send?.(shop.answer("sold"));
}
