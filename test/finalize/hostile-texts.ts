import { boxAt } from "../../src/finalize/mp4-boxes.ts";
import type { Mutant } from "./media-mutants.ts";

/** What hostile segments try to have read. */
export interface Bait {
  /** Absolute paths of files of others. */
  readonly paths: readonly string[];
  /** `http://host:port` of a server that nothing may call. */
  readonly url: string;
}

const EBML_MAGIC = Uint8Array.of(0x1a, 0x45, 0xdf, 0xa3);
/** A whole EBML header of WebM, then a Segment of unknown size. */
const WEBM_HEADER = Uint8Array.fromHex(
  "1a45dfa39f4286810142f7810142f2810442f381084282847765626d42878104428581021853806701ffffffffffffff",
);
const FTYP = new TextEncoder().encode("\0\0\0\x18ftypisom\0\0\x02\0isomiso2");

/**
 * Playlists and documents that name other files, each behind every beginning that admission lets
 * pass for a container's, whole and cut after the beginning.
 *
 * @param mp4 a segment of an MP4 recording, for one whose media is said to lie in another file
 */
export function hostileTexts({ paths, url }: Bait, mp4: readonly Uint8Array[]): Mutant[] {
  const targets = [...paths, `${url}/bait.mkv`];
  const texts = targets.flatMap((target) => {
    const uri = target.startsWith("/") ? `file://${target}` : target;
    return [
      ["HLS", `#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:6,\n${uri}\n#EXT-X-ENDLIST\n`],
      ["HLS map", `#EXTM3U\n#EXT-X-MAP:URI="${target}"\n#EXTINF:6,\n${target}\n`],
      ["ffconcat", `ffconcat version 1.0\nfile '${target}'\n`],
      ["concat", `concat:${target}|${target}`],
      ["subfile", `subfile,,start,0,end,0,,:${target}`],
      [
        "DASH",
        `<?xml version="1.0"?><MPD><Period><AdaptationSet><Representation><BaseURL>${uri}</BaseURL></Representation></AdaptationSet></Period></MPD>`,
      ],
      ["SVG", `<svg xmlns:xlink="http://www.w3.org/1999/xlink"><image xlink:href="${uri}"/></svg>`],
      ["XML", `<!DOCTYPE x [<!ENTITY bait SYSTEM "${uri}">]><x>&bait;</x>`],
      ["SDP", `v=0\no=- 0 0 IN IP4 127.0.0.1\ns=${uri}\na=control:${uri}\n`],
    ] as const;
  });
  const beginnings = [
    ["one byte", EBML_MAGIC.subarray(0, 1), "video/webm"],
    ["the magic", EBML_MAGIC, "video/webm"],
    ["an EBML header", WEBM_HEADER, "video/x-matroska"],
    ["ftyp", FTYP, "video/mp4"],
    ["a zero", Uint8Array.of(0), "video/mp4"],
  ] as const;
  const mutants = texts.flatMap(([name, text]) =>
    beginnings.flatMap(([begin, bytes, mimeType]): Mutant[] => {
      const body = new TextEncoder().encode(`\n${text}`);
      const title = `${name} behind ${begin}`;
      return [
        { name: title, mimeType, chunks: [Buffer.concat([bytes, body])] },
        { name: `${title}, cut`, mimeType, chunks: [bytes, body] },
      ];
    }),
  );
  const elsewhere = paths.map((path): Mutant => ({
    name: "MP4 with its media in another file",
    mimeType: "video/mp4",
    chunks: [withMediaElsewhere(Buffer.concat(mp4), `file://${path}`)],
  }));
  return [...mutants, ...elsewhere];
}

const DREF_PATH = ["moov", "trak", "mdia", "minf", "dinf", "dref", "url "];

/** Says in the first track's data reference that the media lies at `url` (ISO/IEC 14496-12, 8.7.2). */
function withMediaElsewhere(mp4: Buffer, url: string): Buffer {
  const sizesAt: number[] = [];
  let at = 0;
  let end = mp4.length;
  for (const type of DREF_PATH) {
    let box = boxAt(mp4, at, end - at);
    while (box !== undefined && box.type !== type) {
      at += box.size;
      box = boxAt(mp4, at, end - at);
    }
    if (box === undefined) throw new RangeError(`There is no ${type} box.`);
    sizesAt.push(at);
    end = at + box.size;
    // `dref` begins with its version and the number of its entries.
    at += box.headerBytes + (type === "dref" ? 8 : 0);
  }
  const location = Buffer.from(`${url}\0`);
  const changed = Buffer.concat([mp4.subarray(0, end), location, mp4.subarray(end)]);
  for (const sizeAt of sizesAt) {
    changed.writeUInt32BE(changed.readUInt32BE(sizeAt) + location.length, sizeAt);
  }
  // Flag 1 would say that the media is in this same file.
  changed.writeUInt32BE(0, at);
  return changed;
}
