/** One system call as strace saw it. Positions count the lines of the log, which are in order of time. */
export interface SystemCall {
  readonly name: string;
  /** Between the parentheses, as strace prints them. */
  readonly argumentText: string;
  /** What it gave; undefined when the process ended within it, and when it failed. */
  readonly result: number | undefined;
  /** `EIO`, ...; undefined when it did not fail. */
  readonly errorName: string | undefined;
  /** Whether strace made it fail. */
  readonly injected: boolean;
  readonly beganAt: number;
  /** `Infinity` when it never ended. */
  readonly endedAt: number;
}

const WHOLE = /^(\d+) +(\w+)\((.*)\) += (.*)$/s;
const UNFINISHED = /^(\d+) +(\w+)\((.*) <(?:unfinished|detached) \.\.\.>$/s;
const RESUMED = /^(\d+) +<\.\.\. (\w+) resumed>(.*)\) += (.*)$/s;

/**
 * Reads a log of `strace -f -o` (strace(1)), in which the calls of several threads are interleaved: a
 * call that others interrupted is put together again. Gives them in the order in which they began.
 * Lines about signals and ends of processes are left out.
 */
export function parseStraceLog(log: string): SystemCall[] {
  const calls: SystemCall[] = [];
  /** By thread: it has one call under way at most. */
  const unfinished = new Map<string, { name: string; text: string; slot: number }>();
  for (const [position, line] of log.split("\n").entries()) {
    const began = UNFINISHED.exec(line);
    if (began !== null) {
      const [, thread = "", name = "", text = ""] = began;
      const slot = calls.length;
      calls.push({ name, argumentText: text, ...outcomeOf("?"), ...spanOf(position, Infinity) });
      unfinished.set(thread, { name, text, slot });
      continue;
    }
    const resumed = RESUMED.exec(line);
    if (resumed !== null) {
      const [, thread = "", name = "", text = "", outcome = ""] = resumed;
      const start = unfinished.get(thread);
      const before = start === undefined ? undefined : calls[start.slot];
      if (start?.name !== name || before === undefined) continue;
      unfinished.delete(thread);
      calls[start.slot] = {
        name,
        argumentText: start.text + text,
        ...outcomeOf(outcome),
        ...spanOf(before.beganAt, position),
      };
      continue;
    }
    const whole = WHOLE.exec(line);
    if (whole === null) continue;
    const [, , name = "", argumentText = "", outcome = ""] = whole;
    calls.push({ name, argumentText, ...outcomeOf(outcome), ...spanOf(position, position) });
  }
  return calls;
}

function spanOf(beganAt: number, endedAt: number) {
  return { beganAt, endedAt };
}

/** `17</path>`, `-1 EIO (Input/output error) (INJECTED)`, `?`. */
function outcomeOf(text: string) {
  const [, number, errorName] = /^(-?\d+)(?:<.*>)?(?: (E[A-Z0-9]+))?/s.exec(text) ?? [];
  const result = number === undefined || errorName !== undefined ? undefined : Number(number);
  return { result, errorName, injected: text.endsWith("(INJECTED)") };
}

/** Path of the file descriptor that is the first argument (`strace -y`); undefined for other things. */
export function descriptorPath({ argumentText }: SystemCall): string | undefined {
  return /^\d+<(\/.*?)(?: \(deleted\))?>(?:,|$)/s.exec(argumentText)?.[1];
}

/** The strings among the arguments, in order. strace must have been told to print them whole (`-s`). */
export function stringArguments({ argumentText }: SystemCall): Buffer[] {
  return [...argumentText.matchAll(/"((?:[^"\\]|\\.)*)"(\.\.\.)?/gs)].map(
    ([text, escaped = "", cut]) => {
      if (cut !== undefined) throw new RangeError(`strace cut a string off: ${text.slice(0, 80)}`);
      return Buffer.from(unescape(escaped), "latin1");
    },
  );
}

const ESCAPES: Readonly<Record<string, string>> = {
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  f: "\f",
};

/** Undoes the escapes of C that strace prints. */
function unescape(text: string): string {
  return text.replace(/\\([0-7]{1,3}|.)/gs, (_, code: string) =>
    /^[0-7]/.test(code) ? String.fromCharCode(Number.parseInt(code, 8)) : (ESCAPES[code] ?? code),
  );
}
