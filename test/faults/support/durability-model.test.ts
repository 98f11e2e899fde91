import { describe, expect, test } from "bun:test";
import { DurabilityModel } from "./durability-model.ts";
import { parseStraceLog } from "./strace-log.ts";

const ROOT = "/data/recordings";
const SEGMENT_ID = "0d0f0000-0000-4000-8000-000000000001";
const DIRECTORY = `${ROOT}/r/segments`;
const PATH = `${DIRECTORY}/${SEGMENT_ID}.chunks`;
const PAYLOADS = new Map([[SEGMENT_ID, [Buffer.from("\x1aE\xdf\xa3zero", "latin1")]]]);

const CREATE = [
  `7 openat(AT_FDCWD</>, "${PATH}.tmp", O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC, 0666) = 9<${PATH}.tmp>`,
  `7 rename("${PATH}.tmp", "${PATH}") = 0`,
];
const SYNC_DIRECTORY = `7 fsync(10<${DIRECTORY}>) = 0`;
const WRITE = `7 pwritev(9<${PATH}>, [{iov_base="TCF2\\0\\"", iov_len=6}, {iov_base="\\32E\\337\\243zero", iov_len=8}], 2, 0) = 14`;
const BODY = `{\\"segmentId\\":\\"${SEGMENT_ID}\\",\\"chunks\\":[{\\"sequence\\":0,\\"outcome\\":\\"accepted\\"}]}`;
const ANSWER = `1 sendto(5<socket:[1]>, "HTTP/1.1 200 OK\\r\\nX: y\\r\\n\\r\\n${BODY}", 99, MSG_NOSIGNAL, NULL, 0) = 99`;

function early(...lines: readonly string[]): number {
  const model = new DurabilityModel(ROOT, PAYLOADS);
  const checked = model.run(parseStraceLog(lines.join("\n")));
  expect(checked.chunks).toBe(1);
  return checked.early.length;
}

describe("the model of what is durable", () => {
  test("takes an answer that follows all syncs, also one by a sync of the file system", () => {
    expect(early(...CREATE, SYNC_DIRECTORY, WRITE, `8 fdatasync(9<${PATH}>) = 0`, ANSWER)).toBe(0);
    expect(early(...CREATE, WRITE, `8 syncfs(3<${ROOT}>) = 0`, ANSWER)).toBe(0);
  });

  test("finds an answer before a sync, without one, or after one that failed", () => {
    const sync = `8 fdatasync(9<${PATH}>) = 0`;
    const failed = `8 fdatasync(9<${PATH}>) = -1 EIO (Input/output error) (INJECTED)`;
    expect(early(...CREATE, SYNC_DIRECTORY, WRITE, ANSWER, sync)).toBe(1);
    expect(early(...CREATE, SYNC_DIRECTORY, sync, WRITE, ANSWER)).toBe(1);
    expect(early(...CREATE, WRITE, sync, ANSWER)).toBe(1);
    expect(early(...CREATE, SYNC_DIRECTORY, WRITE, failed, sync, ANSWER)).toBe(1);
    expect(early(...CREATE, SYNC_DIRECTORY, WRITE, failed, WRITE, sync, ANSWER)).toBe(0);
  });

  test("has no sync vouch for a write that went on beside it", () => {
    const [before = "", after = ""] = WRITE.split(", 2, 0)");
    const began = `${before} <unfinished ...>`;
    const ended = `7 <... pwritev resumed>, 2, 0)${after}`;
    const syncBegan = `8 fdatasync(9<${PATH}> <unfinished ...>`;
    const syncEnded = `8 <... fdatasync resumed>) = 0`;
    const start = [...CREATE, SYNC_DIRECTORY];
    expect(early(...start, began, syncBegan, ended, syncEnded, ANSWER)).toBe(1);
    expect(early(...start, began, ended, syncBegan, syncEnded, ANSWER)).toBe(0);
    expect(early(...start, began, ended, syncBegan, ANSWER, syncEnded)).toBe(1);
  });

  test("after a failed sync of the file system believes only a sync of the file itself", () => {
    const failed = `8 syncfs(3<${ROOT}>) = -1 EIO (Input/output error)`;
    const start = [...CREATE, SYNC_DIRECTORY, WRITE, failed];
    expect(early(...start, `8 syncfs(3<${ROOT}>) = 0`, ANSWER)).toBe(1);
    expect(early(...start, `8 fdatasync(9<${PATH}>) = 0`, ANSWER)).toBe(0);
  });

  test("counts a short write only as far as it went, and nothing behind a cut", () => {
    const sync = `8 fdatasync(9<${PATH}>) = 0`;
    const start = [...CREATE, SYNC_DIRECTORY];
    expect(early(...start, WRITE.replace("= 14", "= 10"), sync, ANSWER)).toBe(1);
    expect(early(...start, WRITE, sync, `7 ftruncate(9<${PATH}>, 0) = 0`, ANSWER)).toBe(1);
  });
});
