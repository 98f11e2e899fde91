import { AppError } from "../../recording/errors.ts";
import { runSubprocess } from "../../process/subprocess.ts";
import { type FontCharacters, fontCharacters } from "./font-characters.ts";

/** A font that can be drawn with. */
export interface FontFace {
  readonly path: string;
  readonly has: FontCharacters;
}

/** How long fontconfig may take; the first time after a font was installed it reads all fonts. */
const LOOKUP_MS_MAX = 20_000;

/** Fonts looked into for one name: fontconfig gives the best first. */
const FACES_MAX = 8;

/** Names whose fonts are remembered; with more the oldest are forgotten. */
const REMEMBERED_MAX = 256;

/** Separates what `fc-match` is asked for: no path holds it. */
const FIELD_END = "\t";

/**
 * The machine's own fonts, as fontconfig gives them. Only those are taken that ffmpeg draws with: the
 * first of a file, with outlines and of one colour.
 */
export class SystemFonts {
  readonly #program: string | null;
  readonly #paths = new Map<string, Promise<readonly string[]>>();

  /** @param program `fc-match`; null when the machine has none */
  constructor(program: string | null = Bun.which("fc-match")) {
    this.#program = program;
  }

  /**
   * Those that have some of the characters, the best first; none where there is no fontconfig, or it
   * does not answer.
   *
   * @throws the signal's reason
   */
  async having(codePoints: readonly number[], signal: AbortSignal): Promise<FontFace[]> {
    const faces: FontFace[] = [];
    for (const path of await this.#pathsFor(codePoints, signal)) {
      const has = await charactersOf(path);
      if (has !== undefined && codePoints.some(has)) faces.push({ path, has });
    }
    return faces;
  }

  #pathsFor(codePoints: readonly number[], signal: AbortSignal): Promise<readonly string[]> {
    const charset = [...new Set(codePoints)].map((codePoint) => codePoint.toString(16)).join(" ");
    const known = this.#paths.get(charset);
    if (known !== undefined) return known;
    const found = this.#ask(charset, signal);
    this.#paths.set(charset, found);
    // What was not answered is asked for again.
    found.catch(() => this.#paths.delete(charset));
    const [oldest] = this.#paths.keys();
    if (this.#paths.size > REMEMBERED_MAX && oldest !== undefined) this.#paths.delete(oldest);
    return found;
  }

  async #ask(charset: string, signal: AbortSignal): Promise<readonly string[]> {
    if (this.#program === null || charset === "") return [];
    const paths = new Set<string>();
    const fields = ["file", "index", "outline", "color"].map((name) => `%{${name}}`);
    const format = `${fields.join(FIELD_END)}\n`;
    try {
      await runSubprocess({
        argv: [this.#program, "--sort", "--format", format, `:charset=${charset}:outline=true`],
        onStdoutLine: (line) => {
          const [path = "", index, outline, colour] = line.split(FIELD_END);
          const isDrawn = index === "0" && outline === "True" && colour !== "True";
          if (isDrawn && path.startsWith("/") && paths.size < FACES_MAX) paths.add(path);
        },
        signal,
        timeLimitMs: LOOKUP_MS_MAX,
      });
    } catch (error) {
      signal.throwIfAborted();
      // Then names are drawn as on a machine without fonts, and the export's notes say so.
      if (error instanceof AppError) return [];
      throw error;
    }
    return [...paths];
  }
}

/** Undefined of a file that is no font, or does not say what it has. */
async function charactersOf(path: string): Promise<FontCharacters | undefined> {
  try {
    return await fontCharacters(path);
  } catch {
    return undefined;
  }
}
