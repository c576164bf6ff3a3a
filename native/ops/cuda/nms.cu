#include "native/ops/cuda/nms.h"
#include "native/ops/cuda/nms_bodies.h"

namespace freqfusion::cuda {

const char* nms_table(const NmsArgs& args, void* stream) {
  return args.is_double ? launch(NmsTable<double>(args), stream) : launch(NmsTable<float>(args), stream);
}

}  // namespace freqfusion::cuda
