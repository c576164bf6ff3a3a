# libfreqfusion_ops: the operators alone, on libtorch alone. PyTorch loads it with torch.ops.load_library.
set(ops "${CMAKE_CURRENT_LIST_DIR}")

add_library(freqfusion_ops SHARED
  ${ops}/anchors.cpp
  ${ops}/border.cpp
  ${ops}/box_coder.cpp
  ${ops}/carafe.cpp
  ${ops}/conv_mlp.cpp
  ${ops}/group_norm.cpp
  ${ops}/high_pass.cpp
  ${ops}/kernel_normalizer.cpp
  ${ops}/kernel_predictor.cpp
  ${ops}/local_similarity.cpp
  ${ops}/mask_paste.cpp
  ${ops}/nmf.cpp
  ${ops}/nms.cpp
  ${ops}/offset_sampler.cpp
  ${ops}/panels.cpp
  ${ops}/pointwise_conv.cpp
  ${ops}/roi_align.cpp
  ${ops}/roi_extractor.cpp
  ${ops}/row_conv.cpp
  ${ops}/sampling_offset.cpp
  ${ops}/strip_convs.cpp
  ${ops}/winograd_conv.cpp
  ${ops}/cpu/carafe.cpp
  ${ops}/cpu/conv_mlp.cpp
  ${ops}/cpu/group_norm.cpp
  ${ops}/cpu/high_pass.cpp
  ${ops}/cpu/kernel_normalizer.cpp
  ${ops}/cpu/kernel_predictor.cpp
  ${ops}/cpu/local_similarity.cpp
  ${ops}/cpu/mask_paste.cpp
  ${ops}/cpu/mask_runs.cpp
  ${ops}/cpu/nmf.cpp
  ${ops}/cpu/nms.cpp
  ${ops}/cpu/nms_order.cpp
  ${ops}/cpu/nms_select.cpp
  ${ops}/cpu/offset_sampler.cpp
  ${ops}/cpu/pointwise_conv.cpp
  ${ops}/cpu/roi_align.cpp
  ${ops}/cpu/roi_align_plan.cpp
  ${ops}/cpu/roi_extractor.cpp
  ${ops}/cpu/roofs.cpp
  ${ops}/cpu/row_conv.cpp
  ${ops}/cpu/sampling_offset.cpp
  ${ops}/cpu/strip_convs.cpp
  ${ops}/cpu/winograd_conv.cpp
  ${ops}/cpu/isa.cpp)

# Compiled once per instruction set; isa.cpp chooses at run time. These files use no std templates: a weak symbol
# of the AVX-512 object could win at link time and crash a machine without it.
set(kernel_sources
  ${ops}/cpu/carafe_kernels.cpp
  ${ops}/cpu/carafe_nhwc_kernels.cpp
  ${ops}/cpu/carafe_backward_kernels.cpp
  ${ops}/cpu/carafe_backward_nhwc_kernels.cpp
  ${ops}/cpu/conv_mlp_kernels.cpp
  ${ops}/cpu/group_norm_kernels.cpp
  ${ops}/cpu/kernel_normalizer_kernels.cpp
  ${ops}/cpu/kernel_predictor_kernels.cpp
  ${ops}/cpu/local_similarity_kernels.cpp
  ${ops}/cpu/nmf_kernels.cpp
  ${ops}/cpu/nms_kernels.cpp
  ${ops}/cpu/offset_sampler_kernels.cpp
  ${ops}/cpu/pointwise_conv_kernels.cpp
  ${ops}/cpu/roi_align_kernels.cpp
  ${ops}/cpu/roofs_kernels.cpp
  ${ops}/cpu/row_conv_kernels.cpp
  ${ops}/cpu/sampling_offset_kernels.cpp
  ${ops}/cpu/strip_convs_kernels.cpp
  ${ops}/cpu/winograd_conv_kernels.cpp)
set(isa_names baseline)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  list(APPEND isa_names avx2 avx512)
endif()
# GCC 12's own avx512fintrin.h reads an undefined vector on purpose and warns about it in whoever inlines it.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(isa_warnings -Wno-uninitialized -Wno-maybe-uninitialized)
endif()
set(isa_flags_baseline)
set(isa_flags_avx2 -mavx2 -mfma -mf16c)
set(isa_flags_avx512 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx2 -mfma -mf16c -mprefer-vector-width=512)
# The kernels spell their vectors out, so -O2 serves them as well as -O3, or better, and compiles in a third of the
# time (a tenth for the baseline). The similarity gains from -O3: 0.3 in place of 0.5 ms for 64 channels of 128 x 128;
# so do the positions of the offset sampler.
set_source_files_properties(${ops}/cpu/local_similarity_kernels.cpp ${ops}/cpu/offset_sampler_kernels.cpp PROPERTIES
                            COMPILE_OPTIONS -O3)
foreach(isa IN LISTS isa_names)
  add_library(freqfusion_ops_${isa} OBJECT ${kernel_sources})
  target_include_directories(freqfusion_ops_${isa} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_compile_definitions(freqfusion_ops_${isa} PRIVATE FREQFUSION_ISA=${isa})
  target_compile_options(freqfusion_ops_${isa} PRIVATE ${isa_warnings} ${isa_flags_${isa}})
  target_sources(freqfusion_ops PRIVATE $<TARGET_OBJECTS:freqfusion_ops_${isa}>)
endforeach()

target_include_directories(freqfusion_ops PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(freqfusion_ops PRIVATE ff::torch)
set_target_properties(freqfusion_ops PROPERTIES LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/Release")
