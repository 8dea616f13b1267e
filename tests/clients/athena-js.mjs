// Drives a running gateway with the official JavaScript client and checks what it hands back.
//
//   ATHENA_URL=http://localhost:4052 ATHENA_CLIENT=name node athena-js.mjs
//
// ATHENA_API_KEY is sent when set. ATHENA_AUDIT_HEADERS=lenient skips the checks that a write
// without company and organisation is refused. The tables are in schema.sql.
// Prints a line per check, at last `N passed, N failed`; exits 1 when one failed, 2 on misuse.

import assert from "node:assert/strict";
import { createClient } from "@xylex-group/athena";

const { ATHENA_URL: url, ATHENA_CLIENT: client, ATHENA_API_KEY: key } = process.env;
if (!url || !client) {
  console.error("ATHENA_URL and ATHENA_CLIENT must be set");
  process.exit(2);
}

const who = { client, userId: "user-1", companyId: "company-1", organizationId: "organization-1" };
const athena = createClient(url, key, who);
const users = () => athena.from("users");
const notes = () => athena.from("notes");

let passed = 0;
let failed = 0;

async function check(name, run) {
  try {
    await run();
    passed += 1;
    console.log(`ok    ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${name}\n      ${String(error?.message ?? error).replaceAll("\n", "\n      ")}`);
  }
}

const shown = (result) => JSON.stringify({ status: result.status, error: result.error, data: result.data });

/** The rows of a success: no error, and an array. */
function rows(result) {
  assert.equal(result.error, null, `an error was read from ${shown(result)}`);
  assert.equal(result.status, 200, shown(result));
  assert.ok(Array.isArray(result.data), `data is no array: ${shown(result)}`);
  return result.data;
}

/** The object of a success of `single`. */
function row(result) {
  assert.equal(result.error, null, `an error was read from ${shown(result)}`);
  assert.equal(result.status, 200, shown(result));
  assert.ok(result.data && !Array.isArray(result.data), `data is no row: ${shown(result)}`);
  return result.data;
}

/** A failure as the client shows it: a text, and never a 2xx. */
function refused(result, status, text) {
  assert.equal(typeof result.error, "string", `no error was read from ${shown(result)}`);
  assert.notEqual(result.error, "");
  assert.equal(result.status, status, shown(result));
  if (text) assert.match(result.error, text);
}

const names = (result) => rows(result).map((user) => user.name).sort();
const ids = (list) => list.map((item) => item.id).sort((a, b) => a - b);

async function filters(name, filter, expected) {
  await check(`select: ${name}`, async () => {
    assert.deepEqual(names(await filter(users()).select("name")), [...expected].sort());
  });
}

// ---- start from empty tables ------------------------------------------------------------------

for (const table of [notes, users]) {
  const emptied = await table().gte("id", 0).delete();
  if (emptied.error !== null || emptied.status !== 200) {
    console.error(`the tables cannot be emptied: ${shown(emptied)}`);
    process.exit(1);
  }
}

// ---- insert -----------------------------------------------------------------------------------

const ada = {
  email: "ada@example.org",
  name: "Ada",
  age: 36,
  tags: ["math", "engines"],
  meta: { role: "admin", level: 3, nested: { list: [1, null, "x"], text: "a\"b\\c" } },
  active: true,
  score: 99.5,
  created_at: "2024-01-02T03:04:05.678901Z",
};
let adaId;

await check("insert: one row comes back whole, as an array of one", async () => {
  const [inserted, ...rest] = rows(await users().insert(ada));
  assert.equal(rest.length, 0);
  assert.equal(typeof inserted.id, "number");
  adaId = inserted.id;
  const { id, created_at, ...values } = inserted;
  const { created_at: sent, ...expected } = ada;
  assert.deepEqual(values, expected);
  assert.match(created_at, /^2024-01-0\dT\d\d:\d\d:05\.678901(Z|[+-]\d\d:\d\d)$/);
  assert.equal(Date.parse(created_at), Date.parse(sent));
});

const others = [
  { email: "bob@example.org", name: "Bob", age: 17, tags: ["music"], active: false, score: 10.25, meta: null },
  { email: "cyd@example.org", name: "Cyd", age: 52, tags: ["math"], active: true, score: null, meta: { role: "user" } },
  { email: "dan@example.org", name: "Dan", age: null, tags: [], active: null, score: 0, meta: { role: "admin" } },
  { email: "eve@example.org", name: "O'Neil, Eve.", age: 29, tags: null, active: true, score: -3.75, meta: null },
];

await check("insert: many rows in one request", async () => {
  const inserted = rows(await users().insert(others));
  assert.deepEqual(inserted.map((user) => user.email).sort(), others.map((user) => user.email));
  assert.equal(new Set(ids(inserted)).size, 4);
});

await check("insert: the columns asked for, and no more", async () => {
  const inserted = rows(
    await users().insert({ email: "fay@example.org", name: "Fay", age: 41 }).select("email, age"),
  );
  assert.deepEqual(inserted, [{ email: "fay@example.org", age: 41 }]);
});

await check("insert: single gives the row itself, with the column's default", async () => {
  const inserted = row(await users().insert({ email: "gil@example.org", name: "Gil" }).single());
  assert.equal(inserted.name, "Gil");
  assert.equal(inserted.active, true);
  assert.ok(Number.isFinite(Date.parse(inserted.created_at)));
});

await check("insert: missing keys of one row among many are null, or the default when asked", async () => {
  const pair = (n) => [
    { email: `p${n}@example.org`, name: "Pair", active: false },
    { email: `q${n}@example.org`, name: "Pair" },
  ];
  const active = (list) => list.sort((a, b) => a.email.localeCompare(b.email)).map((user) => user.active ?? null);
  assert.deepEqual(active(rows(await users().insert(pair(1)))), [false, null]);
  assert.deepEqual(active(rows(await users().insert(pair(2), { defaultToNull: false }))), [false, true]);
});

await check("insert: head returns no rows, and writes all the same", async () => {
  assert.deepEqual(rows(await users().insert({ email: "hal@example.org", name: "Pair" }, { head: true })), []);
  assert.equal(rows(await users().eq("email", "hal@example.org").select()).length, 1);
});

await check("insert: rows with columns called message and error are no failure", async () => {
  const note = { id: 1, user_id: adaId, message: "all is well", error: "none" };
  assert.deepEqual(rows(await notes().insert(note)), [note]);
  assert.deepEqual(rows(await notes().select()), [note]);
  assert.deepEqual(rows(await notes().eq("id", 1).update({ message: "still" })), [{ ...note, message: "still" }]);
});

await check("delete: by filter, several rows at once", async () => {
  const gone = rows(await users().eq("name", "Pair").delete());
  assert.equal(gone.length, 5);
  assert.deepEqual(rows(await users().eq("name", "Pair").select()), []);
});

// ---- select -----------------------------------------------------------------------------------
// Ada 36, Bob 17, Cyd 52, Dan without age, Eve 29, Fay 41, Gil without age.

const EVE = "O'Neil, Eve.";
const EVERYBODY = ["Ada", "Bob", "Cyd", "Dan", EVE, "Fay", "Gil"];

await filters("everything", (table) => table, EVERYBODY);
await filters("eq text", (table) => table.eq("name", "Ada"), ["Ada"]);
await filters("eq text with quote, comma and dot", (table) => table.eq("name", EVE), [EVE]);
await filters("eq integer", (table) => table.eq("age", 36), ["Ada"]);
await filters("eq integer given as text", (table) => table.eq("age", "36"), ["Ada"]);
await filters("eq numeric", (table) => table.eq("score", 10.25), ["Bob"]);
await filters("eq boolean", (table) => table.eq("active", false), ["Bob"]);
await filters("eq null", (table) => table.eq("age", null), ["Dan", "Gil"]);
await filters("eq array", (table) => table.eq("tags", ["music"]), ["Bob"]);
await filters("eq timestamp", (table) => table.eq("created_at", ada.created_at), ["Ada"]);
await filters("neq", (table) => table.neq("name", "Ada"), EVERYBODY.slice(1));
await filters("neq null", (table) => table.neq("age", null), ["Ada", "Bob", "Cyd", EVE, "Fay"]);
await filters("gt", (table) => table.gt("age", 36), ["Cyd", "Fay"]);
await filters("gte", (table) => table.gte("age", 36), ["Ada", "Cyd", "Fay"]);
await filters("lt", (table) => table.lt("age", 29), ["Bob"]);
await filters("lte", (table) => table.lte("age", 29), ["Bob", EVE]);
await filters("lt numeric below zero", (table) => table.lt("score", 0), [EVE]);
await filters("lt timestamp", (table) => table.lt("created_at", "2024-06-01T00:00:00Z"), ["Ada"]);
await filters("like", (table) => table.like("name", "%a%"), ["Ada", "Dan", "Fay"]);
await filters("like minds the case", (table) => table.like("name", "a%"), []);
await filters("like with one wildcard", (table) => table.like("name", "_ob"), ["Bob"]);
await filters("ilike", (table) => table.ilike("name", "a%"), ["Ada"]);
await filters("is null", (table) => table.is("tags", null), [EVE, "Fay", "Gil"]);
await filters("is true", (table) => table.is("active", true), ["Ada", "Cyd", EVE, "Fay", "Gil"]);
await filters("is false", (table) => table.is("active", false), ["Bob"]);
await filters("in text", (table) => table.in("name", ["Ada", EVE, "Nobody"]), ["Ada", EVE]);
await filters("in integers", (table) => table.in("age", [17, 52]), ["Bob", "Cyd"]);
await filters("in nothing", (table) => table.in("age", []), []);
await filters("contains on an array", (table) => table.contains("tags", ["math"]), ["Ada", "Cyd"]);
await filters("contains all of an array", (table) => table.contains("tags", ["engines", "math"]), ["Ada"]);
await filters("contains on jsonb", (table) => table.contains("meta", { role: "admin" }), ["Ada", "Dan"]);
await filters("containedBy", (table) => table.containedBy("tags", ["math", "music"]), ["Bob", "Cyd", "Dan"]);
await filters("not eq", (table) => table.not("name", "eq", "Ada"), EVERYBODY.slice(1));
await filters("not in", (table) => table.not("age", "in", [17, 52]), ["Ada", EVE, "Fay"]);
await filters("not is null", (table) => table.not("age", "is", null), ["Ada", "Bob", "Cyd", EVE, "Fay"]);
await filters("not like", (table) => table.not("name", "like", "%a%"), ["Bob", "Cyd", EVE, "Gil"]);
await filters("not with an expression", (table) => table.not("age.gte.36"), ["Bob", EVE]);
await filters("or", (table) => table.or("age.gt.50,name.eq.Bob"), ["Bob", "Cyd"]);
await filters("or with null and a list", (table) => table.or("age.is.null,age.in.(17,29)"), ["Bob", "Dan", EVE, "Gil"]);
await filters("or with a quoted value", (table) => table.or('name.eq."O\'Neil, Eve.",name.eq.Ada'), ["Ada", EVE]);
await filters("or with a nested and", (table) => table.or("and(age.gt.30,active.is.true),name.eq.Dan"), ["Ada", "Cyd", "Dan", "Fay"]);
await filters("or with not", (table) => table.or("not.name.in.(Ada,Bob,Cyd,Dan,Fay),age.eq.17").neq("name", "Gil"), ["Bob", EVE]);
await filters("match", (table) => table.match({ active: true, age: 36 }), ["Ada"]);
await filters("several filters hold together", (table) => table.gt("age", 20).lt("age", 40).is("active", true), ["Ada", EVE]);
await filters("a hostile value is a value", (table) => table.eq("name", "x' OR '1'='1"), []);
await filters("reset forgets the filters", (table) => table.eq("name", "Ada").limit(1).reset().gt("age", 50), ["Cyd"]);

const everyId = ids(rows(await users().select("id")));

await check("select: limit", async () => {
  assert.equal(rows(await users().limit(3).select("id")).length, 3);
  assert.deepEqual(rows(await users().limit(0).select("id")), []);
});

await check("select: limit and offset walk through all rows once", async () => {
  const seen = [];
  for (let offset = 0; offset < 9; offset += 3) {
    seen.push(...rows(await users().limit(3).offset(offset).select("id")));
  }
  assert.deepEqual(ids(seen), everyId);
  assert.equal(seen.length, everyId.length);
});

await check("select: range counts both ends", async () => {
  assert.deepEqual(ids(rows(await users().range(1, 3).select("id"))), everyId.slice(1, 4));
});

await check("select: columns as text, as text of several lines, as an array", async () => {
  const expected = [{ name: "Ada", age: 36 }];
  assert.deepEqual(rows(await users().eq("id", adaId).select("name, age")), expected);
  assert.deepEqual(rows(await users().eq("id", adaId).select("\n  name,\n  age\n")), expected);
  assert.deepEqual(rows(await users().eq("id", adaId).select(["name", "age"])), expected);
});

await check("select: an alias and a cast", async () => {
  assert.deepEqual(rows(await users().eq("id", adaId).select("who:name, age::text")), [{ who: "Ada", age: "36" }]);
});

await check("select: the schema may be named", async () => {
  assert.deepEqual(names(await athena.from("public.users").eq("name", "Bob").select("name")), ["Bob"]);
});

await check("select: nulls are stripped by default", async () => {
  assert.deepEqual(rows(await users().eq("name", "Dan").select("name, age, active, score")), [{ name: "Dan", score: 0 }]);
});

await check("select: nulls stay with stripNulls false", async () => {
  const [dan] = rows(await users().eq("name", "Dan").select("name, age, active, tags", { stripNulls: false }));
  assert.deepEqual(dan, { name: "Dan", age: null, active: null, tags: [] });
  const [whole] = rows(await users().eq("id", adaId).select("meta", { stripNulls: false }));
  assert.deepEqual(whole.meta, ada.meta);
});

await check("select: single and maybeSingle give a row", async () => {
  assert.equal(row(await users().eq("id", adaId).single("id, name")).name, "Ada");
  assert.equal(row(await users().eq("id", adaId).maybeSingle("id, name")).name, "Ada");
});

await check("select: single and maybeSingle give null when nothing is found", async () => {
  for (const call of ["single", "maybeSingle"]) {
    const result = await users().eq("id", -1)[call]();
    assert.equal(result.data, null);
    assert.equal(result.error, null);
    assert.equal(result.status, 200);
  }
});

// ---- update -----------------------------------------------------------------------------------

await check("update: one row, all kinds of values", async () => {
  const change = { name: "Robert", age: 18, tags: ["music", "x,y", 'q"'], meta: { a: [1, 2.5, "t"] }, active: true, score: 11.5 };
  const [bob, ...rest] = rows(await users().eq("email", "bob@example.org").update(change));
  assert.equal(rest.length, 0);
  const { id, email, created_at, ...values } = bob;
  assert.deepEqual(values, change);
  const [stored] = rows(await users().eq("id", id).select("name, age, tags, meta, active, score"));
  assert.deepEqual(stored, change);
});

await check("update: several rows, and only those", async () => {
  const changed = rows(await users().in("name", ["Cyd", "Fay"]).update({ score: 7 }));
  assert.deepEqual(changed.map((user) => [user.name, user.score]).sort(), [["Cyd", 7], ["Fay", 7]]);
  assert.deepEqual(names(await users().eq("score", 7).select("name")), ["Cyd", "Fay"]);
});

await check("update: a value to null", async () => {
  rows(await users().eq("name", "Fay").update({ score: null }));
  assert.deepEqual(rows(await users().eq("name", "Fay").select("name, score", { stripNulls: false })), [{ name: "Fay", score: null }]);
});

await check("update: the columns asked for", async () => {
  assert.deepEqual(rows(await users().eq("id", adaId).update({ age: 37 }).select("name, age")), [{ name: "Ada", age: 37 }]);
});

await check("update: single gives the row itself", async () => {
  assert.equal(row(await users().eq("id", adaId).update({ age: 36 }).single()).age, 36);
});

await check("update: nothing matched is an empty array", async () => {
  assert.deepEqual(rows(await users().eq("id", -1).update({ age: 1 })), []);
});

// ---- upsert -----------------------------------------------------------------------------------

await check("upsert: onConflict writes the given columns and leaves the others", async () => {
  const [gil] = rows(await users().upsert({ email: "gil@example.org", name: "Gilbert" }, { onConflict: "email" }));
  assert.equal(gil.name, "Gilbert");
  assert.equal(gil.active, true);
  assert.deepEqual(names(await users().eq("email", "gil@example.org").select("name")), ["Gilbert"]);
});

await check("upsert: without a conflict the row is inserted", async () => {
  const [ivy] = rows(await users().upsert({ email: "ivy@example.org", name: "Ivy" }, { onConflict: ["email"] }));
  assert.equal(ivy.name, "Ivy");
});

await check("upsert: updateBody says what changes", async () => {
  const values = { email: "ivy@example.org", name: "Never written", age: 99 };
  const [ivy] = rows(await users().upsert(values, { onConflict: "email", updateBody: { age: 30 } }));
  assert.equal(ivy.name, "Ivy");
  assert.equal(ivy.age, 30);
});

await check("upsert: an empty updateBody keeps the row and returns it", async () => {
  const values = { email: "ivy@example.org", name: "Never written" };
  const [ivy] = rows(await users().upsert(values, { onConflict: "email", updateBody: {} }));
  assert.equal(ivy.name, "Ivy");
  assert.equal(ivy.age, 30);
});

await check("upsert: the primary key is the target when it is given", async () => {
  const values = { id: adaId, email: "ada@example.org", name: "Ada" };
  const [same] = rows(await users().upsert(values, { updateBody: { name: "Ada L." } }));
  assert.equal(same.id, adaId);
  assert.equal(same.name, "Ada L.");
  rows(await users().eq("id", adaId).update({ name: "Ada" }));
});

await check("upsert: many rows, new and old, with columns", async () => {
  const values = [
    { email: "ivy@example.org", name: "Ivy", age: 31 },
    { email: "jon@example.org", name: "Jon", age: 32 },
  ];
  const written = rows(await users().upsert(values, { onConflict: "email" }).select("name, age"));
  assert.deepEqual(written.sort((a, b) => a.age - b.age), [{ name: "Ivy", age: 31 }, { name: "Jon", age: 32 }]);
});

// ---- delete -----------------------------------------------------------------------------------

const idOf = async (name) => row(await users().eq("name", name).single("id")).id;

await check("delete: by id as a filter", async () => {
  const id = await idOf("Ivy");
  const gone = rows(await users().eq("id", id).delete());
  assert.deepEqual(gone.map((user) => user.name), ["Ivy"]);
  assert.deepEqual(rows(await users().eq("id", id).select()), []);
});

await check("delete: by resourceId", async () => {
  const id = await idOf("Jon");
  const gone = rows(await users().delete({ resourceId: String(id) }));
  assert.deepEqual(ids(gone), [id]);
});

await check("delete: by resource_id as a filter", async () => {
  const id = await idOf("Gilbert");
  assert.deepEqual(ids(rows(await users().eq("resource_id", id).delete())), [id]);
});

await check("delete: the id and every other filter must hold", async () => {
  assert.deepEqual(rows(await users().eq("id", adaId).eq("name", "Somebody else").delete()), []);
  assert.equal(rows(await users().eq("id", adaId).select("id")).length, 1);
});

await check("delete: the columns asked for", async () => {
  assert.deepEqual(rows(await users().eq("name", "Fay").delete().select("name, age")), [{ name: "Fay", age: 41 }]);
});

await check("delete: nothing matched is an empty array", async () => {
  assert.deepEqual(rows(await users().eq("id", -1).delete()), []);
  assert.deepEqual(rows(await users().eq("name", "Nobody").delete()), []);
});

await check("delete: without id and filter the client itself throws", async () => {
  assert.throws(() => users().delete());
});

// ---- failures ---------------------------------------------------------------------------------

const before = ids(rows(await users().select("id")));

await check("failure: unknown column in a filter", async () => refused(await users().eq("nope", 1).select(), 400));
await check("failure: unknown column to return", async () => refused(await users().select("id, nope"), 400));
await check("failure: unknown column to write", async () => {
  refused(await users().insert({ email: "z@example.org", name: "Z", nope: 1 }), 400);
  refused(await users().eq("id", adaId).update({ nope: 1 }), 400);
});
await check("failure: unknown table", async () => {
  const missing = () => athena.from("no_such_table");
  refused(await missing().select(), 400);
  refused(await missing().insert({ a: 1 }), 400);
  refused(await missing().eq("id", 1).update({ a: 1 }), 400);
  refused(await missing().eq("id", 1).delete(), 400);
});
await check("failure: a column name that is none", async () => {
  refused(await users().eq("name' OR '1'='1", "x").select(), 400);
  refused(await users().eq("x', (select version()) --", "x").delete(), 400);
});
await check("failure: a table name that is none", async () => {
  refused(await athena.from("users; drop table users").select(), 400);
});
await check("failure: unknown operators never widen a filter", async () => {
  refused(await users().not("name", "resembles", "Ada").select(), 400);
  refused(await users().or("name.resembles.Ada").select(), 400);
  refused(await users().or("").eq("id", adaId).delete(), 400);
});
await check("failure: a value that does not fit its column", async () => {
  refused(await users().eq("age", "old").select(), 400);
  refused(await users().insert({ email: "z@example.org", name: "Z", age: 1.5 }), 400);
});
await check("failure: duplicate", async () => {
  refused(await users().insert({ email: "ada@example.org", name: "Ada again" }), 409, /duplicate|already exists/i);
  refused(await users().eq("email", "bob@example.org").update({ email: "ada@example.org" }), 409);
});
await check("failure: one bad row keeps all out", async () => {
  refused(await users().insert([{ email: "new@example.org", name: "New" }, { email: "ada@example.org", name: "Old" }]), 409);
  assert.deepEqual(rows(await users().eq("email", "new@example.org").select()), []);
});
await check("failure: foreign key", async () => {
  refused(await notes().insert({ id: 2, user_id: -1 }), 422);
  const held = await users().eq("id", adaId).delete();
  assert.ok([409, 422].includes(held.status), shown(held));
  refused(held, held.status);
});
await check("failure: required column and check", async () => {
  refused(await users().insert({ email: "z@example.org" }), 400);
  refused(await users().insert({ email: "z@example.org", name: "Z", age: -1 }), 400);
});
await check("failure: update without a filter", async () => {
  refused(await users().update({ age: 1 }), 400, /at least one condition is required for update/);
});
await check("failure: upsert on columns without a unique index", async () => {
  refused(await users().upsert({ email: "z@example.org", name: "Ada" }, { onConflict: "name" }), 400);
});
await check("failure: unknown client name", async () => {
  const stranger = createClient(url, key, { ...who, client: "no_such_client" });
  refused(await stranger.from("users").select(), 400);
});
if (process.env.ATHENA_AUDIT_HEADERS !== "lenient") {
  await check("failure: a write without company or organisation", async () => {
    const nobody = createClient(url, key, { client });
    refused(await nobody.from("users").insert({ email: "z@example.org", name: "Z" }), 400, /X-Company-Id/);
    refused(await nobody.from("users").eq("id", adaId).delete(), 400, /X-Company-Id/);
    const half = createClient(url, key, { client, companyId: "company-1" });
    refused(await half.from("users").insert({ email: "z@example.org", name: "Z" }), 400, /X-Organization-Id/);
  });
}
await check("failure: nobody listens", async () => {
  const result = await createClient("http://127.0.0.1:9", key, who).from("users").select();
  assert.equal(result.status, 0);
  assert.equal(typeof result.error, "string");
});
await check("failure: none of them changed a row", async () => {
  assert.deepEqual(ids(rows(await users().select("id"))), before);
});

console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
