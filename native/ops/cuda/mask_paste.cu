#include "native/ops/cuda/mask_paste.h"
#include "native/ops/cuda/mask_paste_bodies.h"

namespace freqfusion::cuda {

const char* mask_paste(const MaskPasteArgs& args, void* stream) {
  return args.is_double ? launch(MaskPaste<double>(args), stream) : launch(MaskPaste<float>(args), stream);
}

}  // namespace freqfusion::cuda
