import { test } from "bun:test";

/** Why strace cannot be used here; undefined when it can. */
function straceObstacle(): string | undefined {
  if (Bun.which("strace") === null) return "there is no strace";
  // A container may forbid ptrace(2), and strace before 5.3 knows no filter in the kernel.
  const tried = Bun.spawnSync(["strace", "-f", "--seccomp-bpf", "-o", "/dev/null", "true"]);
  return tried.success ? undefined : `strace cannot trace: ${tried.stderr.toString().trim()}`;
}

/** `test` where strace works; elsewhere it skips, and says why on stderr. */
export function testWithStrace(): typeof test {
  return testUnless(straceObstacle());
}

/** `test` where prlimit is there; elsewhere it skips, and says why on stderr. */
export function testWithPrlimit(): typeof test {
  return testUnless(Bun.which("prlimit") === null ? "there is no prlimit" : undefined);
}

/** `test`, or, with an obstacle, one that skips, and says why on stderr. */
export function testUnless(obstacle: string | undefined): typeof test {
  if (obstacle === undefined) return test;
  process.stderr.write(`tests are skipped: ${obstacle}\n`);
  return test.skip;
}
