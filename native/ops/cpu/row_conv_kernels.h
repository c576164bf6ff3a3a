#pragma once

#include <stdint.h>

#include "native/ops/cpu/isa.h"
#include "native/ops/cpu/map.h"

namespace freqfusion::cpu {

struct RowConvArgs {
  Storage storage = Storage::f32;  // of x; weights, bias and output are float, or double for f64
  int64_t in_channels = 0, out_channels = 0, height = 0, width = 0;
  int kernel_size = 1, dilation = 1;
  Map x = {}, output = {};        // neighbouring columns of the output are neighbours in memory
  const void* weights = nullptr;  // [tile of output channels][input channel][ky][kx][channel in the tile]
  const void* bias = nullptr;     // [output channel]
  // The output is larger than the caches and written past them: its rows start at multiples of 64 bytes.
  bool stream = false;
};

// Output channels are shared out over this many tiles, as evenly as possible; tile t begins at t * channels / tiles.
FREQFUSION_DECLARE_KERNEL(int64_t, row_conv_tiles, (int64_t out_channels))
FREQFUSION_DECLARE_KERNEL(int64_t, row_conv_scratch_bytes, (const RowConvArgs&))
// Rows [row_begin, row_end) of one image. scratch: as many bytes as row_conv_scratch_bytes says, from a multiple of
// 64 on.
FREQFUSION_DECLARE_KERNEL(void, row_conv_forward,
                          (const RowConvArgs&, int64_t image, int64_t row_begin, int64_t row_end, void* scratch))

}  // namespace freqfusion::cpu
