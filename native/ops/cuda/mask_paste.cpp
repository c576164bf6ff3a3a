#include "native/ops/cuda/mask_paste.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "native/ops/cuda/device.h"
#include "native/ops/mask_paste_check.h"

namespace freqfusion::cuda {
namespace {

at::Tensor paste(const at::Tensor& masks, const at::Tensor& boxes, int64_t height, int64_t width, bool skip_empty) {
  check_mask_paste(masks, boxes, height, width);
  const OnDevice device(masks);
  const at::ScalarType type = paste_dtype(masks);
  const at::Tensor canvas = at::empty({masks.size(0), height, width}, masks.options().dtype(type));
  if (canvas.numel() == 0) return canvas;
  const at::Tensor sheets = masks.to(type).contiguous(), places = boxes.to(type).contiguous();
  const MaskPasteArgs args{type == at::kDouble,
                           sheets.const_data_ptr(),
                           places.const_data_ptr(),
                           masks.size(0),
                           masks.size(1),
                           masks.size(2),
                           height,
                           width,
                           skip_empty,
                           canvas.mutable_data_ptr()};
  check_launch(mask_paste(args, device.stream()), "mask_paste");
  return canvas;
}

}  // namespace
}  // namespace freqfusion::cuda

TORCH_LIBRARY_IMPL(freqfusion, FREQFUSION_CUDA_KEY, m) { m.impl("mask_paste", freqfusion::cuda::paste); }
