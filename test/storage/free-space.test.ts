import { expect, test } from "bun:test";
import { StorageFailedError } from "../../src/recording/errors.ts";
import { FileSystemSpace } from "../../src/storage/free-space.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

test("free space is that which df tells", async () => {
  await using directory = await temporaryDirectory();
  const told = await Bun.$`df --output=avail -B1 ${directory.path}`.text();
  const freeBytes = await new FileSystemSpace(directory.path).freeBytes();
  // Others write to the same disk meanwhile.
  expect(freeBytes / Number(told.split("\n")[1])).toBeWithin(0.9, 1.1);
});

test("a directory that is not there has no free space to tell of", async () => {
  const space = new FileSystemSpace("/nowhere/at/all");
  await expect(space.freeBytes()).rejects.toBeInstanceOf(StorageFailedError);
});
