// `bun run bench [sync] [ingest] [ack] [finalize] [small-tracks] [long-call] [memory] [recovery] [exports] [live] [reads] [--runs 3] [--seconds 10]`: all of them by default.
import { parseArgs } from "node:util";
import { benchExports } from "./exports-bench.ts";
import { benchFinalize } from "./finalize-bench.ts";
import { benchAcknowledgement, benchIngest } from "./ingest-bench.ts";
import { benchLive, benchReads } from "./live-bench.ts";
import { benchLongCall } from "./long-call-bench.ts";
import { benchMemory } from "./memory-bench.ts";
import { benchRecovery } from "./recovery-bench.ts";
import { benchSmallTracks } from "./small-tracks-bench.ts";
import { benchSync } from "./sync-bench.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: "string", default: "3" },
    // In fewer, a server that never syncs is measured against memory alone: the system has it wait
    // for the disk only when a tenth of the memory is dirty.
    seconds: { type: "string", default: "10" },
    // For `exports`: long enough for several slices side by side.
    "call-seconds": { type: "string", default: "120" },
    minutes: { type: "string", default: "1,10,60" },
    // For `long-call`: the second one is beyond 4 GiB.
    hours: { type: "string", default: "8,9.5" },
    "lost-packets": { type: "string", default: "0" },
    // For `live` and `reads`: participants who upload, and as many viewers of each kind.
    people: { type: "string", default: "50" },
    // For `recovery`: an hour of each segment, of small chunks, so that the files fit on most disks.
    segments: { type: "string", default: "1000" },
    chunks: { type: "string", default: "3600" },
    "chunk-bytes": { type: "string", default: "2048" },
  },
});

const runs = Number(values.runs);
const durationMs = Number(values.seconds) * 1_000;
const asked = new Set(
  positionals.length === 0
    ? [
        "sync",
        "ingest",
        "ack",
        "finalize",
        "small-tracks",
        "long-call",
        "memory",
        "recovery",
        "exports",
        "live",
        "reads",
      ]
    : positionals,
);

if (asked.has("sync")) await benchSync({ runs, durationMs: durationMs / 3 });
if (asked.has("ingest")) {
  for (const connections of [50, 500]) await benchIngest({ runs, durationMs }, connections);
}
if (asked.has("ack")) await benchAcknowledgement({ runs, durationMs }, 200);
if (asked.has("finalize")) {
  await benchFinalize({ runs, minutes: values.minutes.split(",").map(Number) });
}
if (asked.has("small-tracks")) await benchSmallTracks();
if (asked.has("long-call")) {
  await benchLongCall({
    hours: values.hours.split(",").map(Number),
    lostPackets: Number(values["lost-packets"]),
  });
}
if (asked.has("memory")) await benchMemory();
if (asked.has("recovery")) {
  await benchRecovery({
    segments: Number(values.segments),
    chunksPerSegment: Number(values.chunks),
    chunkBytes: Number(values["chunk-bytes"]),
  });
}
if (asked.has("exports")) await benchExports({ runs, seconds: Number(values["call-seconds"]) });
const viewing = { runs, durationMs: durationMs / 2, people: Number(values.people) };
if (asked.has("live")) await benchLive(viewing);
if (asked.has("reads")) await benchReads(viewing);
