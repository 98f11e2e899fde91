import type { ExportRequest } from "../contract/exports.ts";
import { makeAligned } from "./aligned.ts";
import { makeAudio } from "./audio.ts";
import { makeComposite } from "./composite/composite.ts";
import { makeCompatible } from "./compatible.ts";
import type { ExportContext, MadeFile } from "./export-maker.ts";

/** Makes the files of any kind of export. */
export function makeExport(
  request: ExportRequest,
  context: ExportContext,
): Promise<readonly MadeFile[]> {
  switch (request.kind) {
    case "aligned":
      return makeAligned(request, context);
    case "compatible":
      return makeCompatible(request, context);
    case "audio":
      return makeAudio(request, context);
    case "composite":
      return makeComposite(request, context);
  }
}
