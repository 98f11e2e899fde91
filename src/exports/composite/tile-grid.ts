/** A rectangle of the picture, in pixels from its top left corner; all four are even. */
export interface Area {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** What most cameras and screens give: the grid is chosen so that such pictures are largest. */
const USUAL_WIDTH_TO_HEIGHT = 16 / 9;

/** Pictures are stored with half the colour samples in each direction: nothing may begin between two. */
export function even(pixels: number): number {
  return 2 * Math.floor(pixels / 2);
}

/**
 * Divides an area into `count` cells of one size with a gap between them, in rows from the top left,
 * so that a picture of the usual shape is as large as it can be. A last row that is not full stands in
 * the middle.
 */
export function gridOf(area: Area, count: number, gap: number): readonly Area[] {
  if (count === 0) return [];
  const columns = bestColumns(area, count, gap);
  const rows = Math.ceil(count / columns);
  const width = cellLength(area.width, columns, gap);
  const height = cellLength(area.height, rows, gap);
  const top = area.y + even((area.height - rows * height - (rows - 1) * gap) / 2);
  return Array.from({ length: count }, (_, i): Area => {
    const row = Math.floor(i / columns);
    const inRow = Math.min(columns, count - row * columns);
    const rowWidth = inRow * width + (inRow - 1) * gap;
    return {
      x: area.x + even((area.width - rowWidth) / 2) + (i % columns) * (width + gap),
      y: top + row * (height + gap),
      width,
      height,
    };
  });
}

function bestColumns(area: Area, count: number, gap: number): number {
  let best = { columns: 1, pictureHeight: 0 };
  for (let columns = 1; columns <= count; columns += 1) {
    const width = cellLength(area.width, columns, gap);
    const height = cellLength(area.height, Math.ceil(count / columns), gap);
    const pictureHeight = Math.min(height, width / USUAL_WIDTH_TO_HEIGHT);
    if (pictureHeight > best.pictureHeight) best = { columns, pictureHeight };
  }
  return best.columns;
}

/** At least 2, so that there is a picture in the smallest of cells, too. */
function cellLength(length: number, cells: number, gap: number): number {
  return Math.max(2, even((length - (cells - 1) * gap) / cells));
}
