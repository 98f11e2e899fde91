import { expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { CONFIG_VARIABLES } from "../src/config.ts";

const readme = await readFile(new URL("../README.md", import.meta.url), "utf8");

test("the README's table names every variable of the environment, with default and meaning", () => {
  const rows = Array.from(
    readme.matchAll(/^\| `([A-Z_]+)` +\| +(.*?) +\| (.*?) +\|$/gm),
    (row) => ({
      name: row[1],
      default: row[2]?.replaceAll("`", "").replace("empty", ""),
      meaning: row[3],
    }),
  );
  expect(rows).toEqual([...CONFIG_VARIABLES]);
});

test("the README names only npm scripts that exist", async () => {
  const { scripts } = await Bun.file(new URL("../package.json", import.meta.url)).json();
  const named = Array.from(readme.matchAll(/^npm (?:run )?([a-z-]+)/gm), ([, script]) => script);
  expect(named.length).toBeGreaterThan(3);
  expect(named.filter((script) => !Object.hasOwn(scripts, script ?? ""))).toEqual([]);
});
