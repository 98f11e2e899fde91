/** Fields of an upload as text, and chunks; what a test leaves out is left out of the form. */
export interface ChunkFormParts {
  readonly fields: Readonly<Record<string, string>>;
  readonly chunks: Readonly<Record<string, Uint8Array<ArrayBuffer> | string>>;
}

/** A multipart form, as wrong as a test wants it. */
export function chunkFormData({ fields, chunks }: ChunkFormParts): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  for (const [name, value] of Object.entries(chunks)) form.append(name, new Blob([value]), "blob");
  return form;
}

/** The fields of a right upload of one chunk 0. */
export function rightFields(segmentId: string): Record<string, string> {
  return {
    participantId: "ada@example.org",
    trackId: "camera",
    segmentId,
    sequence: "0",
    mimeType: "video/webm",
  };
}
