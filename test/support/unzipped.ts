import { BlobReader, Uint8ArrayWriter, ZipReader } from "@zip.js/zip.js";

/** Entries of a downloaded ZIP by name, each checked against its checksum. */
export async function unzipped(response: Response): Promise<Map<string, Uint8Array>> {
  const zip = new ZipReader(new BlobReader(await response.blob()), { checkSignature: true });
  const entries = new Map<string, Uint8Array>();
  for (const entry of await zip.getEntries()) {
    if (!entry.directory) entries.set(entry.filename, await entry.getData(new Uint8ArrayWriter()));
  }
  await zip.close();
  return entries;
}
