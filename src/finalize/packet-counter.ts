/** A block as it passes: usually one packet. */
export interface CountedBlock {
  readonly atMs: number;
  readonly packets: number;
  /** Bytes of its frames; undefined when they are not known. */
  readonly bytes: number | undefined;
  /** A picture that is shown; others only serve to decode later ones. */
  readonly isVisible: boolean;
}

/** Counts the packets of one stream. */
export class PacketCounter {
  packets = 0;
  visiblePackets = 0;
  /** Sum of all frames; undefined as soon as the size of one is not known. */
  bytes: number | undefined = 0;
  firstMs: number | undefined;
  lastMs: number | undefined;

  add(block: CountedBlock): void {
    this.packets += block.packets;
    if (block.isVisible) this.visiblePackets += block.packets;
    this.bytes =
      this.bytes === undefined || block.bytes === undefined ? undefined : this.bytes + block.bytes;
    this.firstMs = Math.min(this.firstMs ?? block.atMs, block.atMs);
    this.lastMs = Math.max(this.lastMs ?? block.atMs, block.atMs);
  }
}
