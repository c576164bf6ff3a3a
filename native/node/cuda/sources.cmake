# The CUDA half of the addon, in place of cuda/absent.cc where libtorch has CUDA. cmake/Cuda.cmake builds it.
set(node_cuda "${CMAKE_CURRENT_LIST_DIR}")

set(node_cuda_sources
  ${node_cuda}/capture.cc
  ${node_cuda}/runtime.cc)
