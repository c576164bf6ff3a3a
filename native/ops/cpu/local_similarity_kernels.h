#pragma once

#include "native/ops/cpu/isa.h"
#include "native/ops/cpu/map.h"

namespace freqfusion::cpu {

// Work is counted in tiles of kSimilarityRows rows, `dilation` apart, and tile_columns columns. Rows of one residue
// modulo the dilation meet only each other in the window, so a tile needs `reach_rows` further rows below it (and
// above it, backward), not dilation times as many.
struct LocalSimilarityArgs {
  Storage storage;
  bool cosine;
  Map x;            // [N, C, H, W]
  Map grad_output;  // backward: [N, k*k - 1, H, W]
  Map out;          // written: the similarities, or backward the gradient of x
  int64_t channels, height, width;
  int64_t kernel_size, dilation;

  // Rings of the window that can meet the map at all: offsets up to reach * dilation.
  int64_t reach_rows, reach_columns;
  int64_t row_blocks, residues, column_tiles, tile_columns;

  int64_t halo;         // reach_columns * dilation
  int64_t pitch;        // values from one row of a working tile to the next: tile_columns and both halos, rounded up
  int64_t active_taps;  // (2 * reach_rows + 1) * (2 * reach_columns + 1), the centre included
};

constexpr int64_t kSimilarityRows = 4;
constexpr int64_t kSimilarityColumns = 256;
constexpr int64_t kSimilarityChannels = 4;

// `scratch` is one thread's working memory. _planes: any layout, best where the columns are dense. _pixels: dense
// channels (channels-last).
FREQFUSION_DECLARE_KERNEL(void, local_similarity_planes,
                          (const LocalSimilarityArgs& args, void* scratch, int64_t begin, int64_t end))
FREQFUSION_DECLARE_KERNEL(void, local_similarity_pixels,
                          (const LocalSimilarityArgs& args, void* scratch, int64_t begin, int64_t end))
FREQFUSION_DECLARE_KERNEL(void, local_similarity_backward_planes,
                          (const LocalSimilarityArgs& args, void* scratch, int64_t begin, int64_t end))
FREQFUSION_DECLARE_KERNEL(void, local_similarity_backward_pixels,
                          (const LocalSimilarityArgs& args, void* scratch, int64_t begin, int64_t end))

}  // namespace freqfusion::cpu
