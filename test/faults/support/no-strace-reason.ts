/** Why no process can be traced here; undefined when one can be. */
export async function noStraceReason(): Promise<string | undefined> {
  const path = Bun.which("strace");
  if (path === null) return "strace is not installed";
  const child = Bun.spawn([path, "-qq", "-o", "/dev/null", "true"], { stderr: "pipe" });
  const words = await new Response(child.stderr).text();
  return (await child.exited) === 0 ? undefined : `strace does not work here: ${words.trim()}`;
}
