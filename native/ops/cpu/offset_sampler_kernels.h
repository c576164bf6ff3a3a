#pragma once

#include "native/ops/cpu/isa.h"
#include "native/ops/cpu/map.h"

namespace freqfusion::cpu {

// height and width are those of x, even and at least 2.
struct OffsetSamplerArgs {
  Storage storage;
  Map x, offset;
  Map grad_output;  // backward
  Map out;          // written: forward the samples
  Map grad_x;       // written: backward
  Map grad_offset;  // written: backward
  int64_t groups, group_channels, height, width;
  bool dense_channels;   // x, grad_output and what is written lie channels-last
  bool stream;           // forward: `out` may be written past the caches
  int32_t* source_rows;  // backward: [image][group][output row][2], first and last source row that the row reads

  // The gradient of x is summed in bands of rows and blocks of channels.
  int64_t channel_blocks, bands, band_rows;
};

constexpr int64_t kSamplerRun = 256;        // pixels whose positions are computed at once
constexpr int64_t kSamplerBlockBytes = 64;  // one block of channels: 16 floats or 8 doubles

// begin and end count rows of the output: (image * groups + group) * height + row.
FREQFUSION_DECLARE_KERNEL(void, offset_sampler_forward, (const OffsetSamplerArgs& args, int64_t begin, int64_t end))
// The gradient of the offsets, and source_rows. begin and end count the same rows.
FREQFUSION_DECLARE_KERNEL(void, offset_sampler_backward_offset,
                          (const OffsetSamplerArgs& args, int64_t begin, int64_t end))
// The gradient of x from source_rows. begin and end count ((image * groups + group) * channel_blocks + block) * bands
// + band; scratch holds band_rows * width blocks.
FREQFUSION_DECLARE_KERNEL(void, offset_sampler_backward_x,
                          (const OffsetSamplerArgs& args, void* scratch, int64_t begin, int64_t end))

}  // namespace freqfusion::cpu
