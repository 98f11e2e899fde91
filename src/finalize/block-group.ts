import { LACING_MASK } from "./block-lacing.ts";
import { ebmlChildren, readUnsigned } from "./ebml.ts";
import {
  BLOCK_FLAG,
  ID,
  blockHead,
  elementHeader,
  elementOf,
  unsignedElement,
  vint,
} from "./matroska-elements.ts";

/** What a BlockGroup (RFC 9559, section 5.1.3.5) says of its block. */
export interface BlockGroup {
  readonly block: Uint8Array | undefined;
  readonly durationTicks: number | undefined;
  /** Whether it refers to no other block. */
  readonly isKey: boolean;
  readonly children: readonly { readonly id: number; readonly data: Uint8Array }[];
}

/** What a block tells of itself. */
export interface BlockTold {
  readonly number: number;
  /** From its Cluster's time. */
  readonly relativeTicks: number;
  /** Of all its frames; undefined when nothing tells. */
  readonly durationMs: number | undefined;
}

/** The frames of a laced block whose length is not known yet. */
export interface WaitingLace {
  readonly frames: readonly Uint8Array[];
  readonly ticks: number;
  readonly flags: number;
  readonly group: BlockGroup | undefined;
}

/** A packet that is to have a block of its own. */
export interface LoneFrame {
  readonly track: number;
  /** From the Cluster's time. */
  readonly relativeTicks: number;
  readonly isKey: boolean;
  /** Of the block that it comes from. */
  readonly flags: number;
  /** Undefined when it comes from a SimpleBlock. */
  readonly group: BlockGroup | undefined;
  readonly data: Uint8Array;
}

/** A block of its own for a packet, in pieces. */
export function blockElement(frame: LoneFrame): Uint8Array[] {
  const { track, relativeTicks, isKey, flags, group, data } = frame;
  const others = flags & ~LACING_MASK & ~BLOCK_FLAG.key;
  if (group === undefined) {
    const head = blockHead(vint(track), relativeTicks, others | (isKey ? BLOCK_FLAG.key : 0));
    return [elementHeader(ID.simpleBlock, head.length + data.length), head, data];
  }
  const kept = group.children.filter(({ id }) => !isKey || id !== ID.referenceBlock);
  const hasReference = kept.some(({ id }) => id === ID.referenceBlock);
  const { durationTicks } = group;
  return [
    elementOf(
      ID.blockGroup,
      elementOf(ID.block, blockHead(vint(track), relativeTicks, others), data),
      ...(durationTicks === undefined ? [] : [unsignedElement(ID.blockDuration, durationTicks)]),
      ...kept.map(({ id, data: own }) => elementOf(id, own)),
      // To the block before, whichever it is.
      ...(isKey || hasReference ? [] : [elementOf(ID.referenceBlock, Uint8Array.of(0xff))]),
    ),
  ];
}

/** What of a BlockGroup is kept for one of the frames of its block. */
export function frameGroup(
  group: BlockGroup | undefined,
  frame: number,
  frames: number,
  durationTicks: number,
): BlockGroup | undefined {
  if (group === undefined) return undefined;
  const children = group.children.filter(
    ({ id }) =>
      (id !== ID.discardPadding || frame === frames - 1) &&
      (id !== ID.blockAdditions || frame === 0),
  );
  const isTimed = group.durationTicks !== undefined;
  return { ...group, children, durationTicks: isTimed ? durationTicks : undefined };
}

/** Its memory is its own. */
export function copyOf(group: BlockGroup): BlockGroup {
  const children = group.children.map(({ id, data }) => ({ id, data: new Uint8Array(data) }));
  return { ...group, block: undefined, children };
}

/** Far more than there are kinds of them; what is beyond is not kept. */
const CHILDREN_MAX = 64;

/** Reads the content of a BlockGroup. */
export function groupOf(content: Uint8Array): BlockGroup {
  let block: Uint8Array | undefined;
  let durationTicks: number | undefined;
  let isKey = true;
  const children: { readonly id: number; readonly data: Uint8Array }[] = [];
  for (const child of ebmlChildren(content)) {
    const { id, data } = child;
    if (id === ID.block) block = data;
    else if (id === ID.blockDuration) durationTicks = unsignedOf(data);
    // What fills up, and a checksum over what may be changed, are of no use behind this.
    else if (id !== ID.crc32 && id !== ID.void && children.length < CHILDREN_MAX) {
      children.push(child);
    }
    if (id === ID.referenceBlock) isKey = false;
  }
  return { block, durationTicks, isKey, children };
}

/** Undefined when it is longer than a number of EBML (RFC 8794, section 7.2). */
function unsignedOf(data: Uint8Array): number | undefined {
  return data.length > 8 ? undefined : readUnsigned(data, 0, data.length);
}
