// Runs under plain Node before `npm start` and `npm test`: installs the dependencies when the
// lockfile is newer than what is installed, so that either command works in a fresh clone.
import { spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

const modifiedAtMs = (path) =>
  statSync(new URL(`../${path}`, import.meta.url), { throwIfNoEntry: false })?.mtimeMs ?? 0;

// npm writes this copy of the lockfile at the end of every successful install.
const installedAtMs = modifiedAtMs("node_modules/.package-lock.json");

if (installedAtMs < Math.max(modifiedAtMs("package-lock.json"), modifiedAtMs("package.json"))) {
  console.log("Installing dependencies ...");
  // Not `npm ci`: it refuses a lockfile that lacks a platform's optional packages, and a registry
  // mirror may not carry them all. The versions are those of the lockfile all the same.
  const { status, error } = spawnSync("npm", ["install", "--no-save", "--no-audit", "--no-fund"], {
    cwd: root,
    stdio: "inherit",
    shell: process.platform === "win32", // npm is npm.cmd there
  });
  if (error !== undefined || status !== 0) {
    console.error(
      `Installing dependencies failed: ${error?.message ?? `npm install ended with ${status}`}`,
    );
    process.exit(1);
  }
}
