# The CUDA half of libfreqfusion_ops: kernels for nvcc, glue for the C++ compiler. cmake/Cuda.cmake builds them.
set(cuda "${CMAKE_CURRENT_LIST_DIR}")

set(cuda_kernels
  ${cuda}/carafe.cu
  ${cuda}/depthwise.cu
  ${cuda}/group_norm.cu
  ${cuda}/kernel_normalizer.cu
  ${cuda}/kernel_predictor.cu
  ${cuda}/local_similarity.cu
  ${cuda}/mask_paste.cu
  ${cuda}/nmf.cu
  ${cuda}/nms.cu
  ${cuda}/offset_sampler.cu
  ${cuda}/pointwise_conv.cu
  ${cuda}/roi_align.cu
  ${cuda}/sampling_offset.cu)

set(cuda_glue
  ${cuda}/carafe.cpp
  ${cuda}/conv_mlp.cpp
  ${cuda}/group_norm.cpp
  ${cuda}/high_pass.cpp
  ${cuda}/kernel_normalizer.cpp
  ${cuda}/kernel_predictor.cpp
  ${cuda}/local_similarity.cpp
  ${cuda}/mask_paste.cpp
  ${cuda}/nmf.cpp
  ${cuda}/nms.cpp
  ${cuda}/offset_sampler.cpp
  ${cuda}/pointwise_conv.cpp
  ${cuda}/roi_align.cpp
  ${cuda}/row_conv.cpp
  ${cuda}/sampling_offset.cpp
  ${cuda}/strip_convs.cpp)
